# The gateway as an image. The server is PID 1 and gets SIGTERM itself; it runs as a plain user and listens on port 80.
#
#   docker build -t voice-gateway .
#   docker build -t voice-gateway-local --build-arg LOCAL_RECOGNIZER=1 .     with the embedded recognizer (English)
#   docker run --rm -p 8000:80 --env-file voice.env voice-gateway
#   docker build --target loadtest -t voice-loadtest .                       the load tester, an image of its own
#   docker run --rm -v "$PWD/results:/results" voice-loadtest python -m loadtest run --url wss://HOST
#
# Secrets come from the environment of the container, never from a build argument or a file in the image.
FROM python:3.11-slim-bookworm AS base

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_NO_INPUT=1 \
    PIP_ROOT_USER_ACTION=ignore

RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin voice


# The load tester. It stands before the gateway, which is what a build without --target makes.
FROM base AS loadtest

WORKDIR /app
COPY requirements-local.lock ./
RUN pip install --require-hashes --only-binary :all: --requirement requirements-local.lock

# It speaks with the gateway's own definition of the protocol.
COPY pyproject.toml README.md LICENSE ./
COPY service/ service/
COPY loadtest/ loadtest/
RUN pip install --no-deps --no-build-isolation --editable . \
 && install --directory --owner=10001 --group=10001 /results

USER 10001:10001
WORKDIR /results
CMD ["python", "-m", "loadtest"]


FROM base AS gateway

# A plain user may bind port 80 with this one capability. It belongs to the file that is really executed, so links are
# followed. A program with file capabilities ignores LD_LIBRARY_PATH: the last line proves, before anything is built on
# it, that this Python still finds its libpython (through the cache of ldconfig) and can bind the port.
# A container that is started without NET_BIND_SERVICE in its bounding set (--cap-drop ALL) cannot execute such a file:
# add the capability back (--cap-add NET_BIND_SERVICE).
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libcap2-bin \
 && setcap cap_net_bind_service=+ep "$(readlink -f "$(command -v python)")" \
 && apt-get purge --yes --auto-remove libcap2-bin \
 && rm -rf /var/lib/apt/lists/* \
 && ldconfig \
 && setpriv --reuid 10001 --regid 10001 --clear-groups env -u LD_LIBRARY_PATH \
    python -c "import socket; socket.create_server(('127.0.0.1', 80)).close()"

WORKDIR /app

# Every package is checked against the hash in the lock. setuptools, which only installs the project below, has its hash
# in the other lock.
ARG LOCAL_RECOGNIZER=0
COPY requirements.lock requirements-local.lock ./
RUN if [ "$LOCAL_RECOGNIZER" = 1 ]; then lock=requirements-local.lock; else lock=requirements.lock; fi \
 && sed -n '/^setuptools==/,/[^\\]$/p' requirements-local.lock > /tmp/build.lock \
 && pip install --require-hashes --only-binary :all: --requirement "$lock" \
 && pip install --require-hashes --only-binary :all: --requirement /tmp/build.lock \
 && rm /tmp/build.lock

# Editable, as `make serve` has it: the code is run where it lies, and the version is known to the package metadata.
COPY pyproject.toml README.md LICENSE ./
COPY service/ service/
RUN pip install --no-deps --no-build-isolation --editable . \
 && install --directory --owner=10001 --group=10001 /app/data

# The history (SQLite, unless DATABASE_URL says otherwise), and what waits for a database that is away. Without a volume
# it is gone with the container.
VOLUME /app/data

USER 10001:10001
EXPOSE 80

# For Docker itself; Cloud Run and Kubernetes use probes of their own.
HEALTHCHECK --interval=30s --timeout=3s --start-period=20s CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT') or 80}/health\", timeout=2)"]

CMD ["python", "-m", "service"]
