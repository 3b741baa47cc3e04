# Two commands do everything on a fresh machine with python3 (3.11 or newer) and make:
#   make serve   install, start on the embedded recognizer, print the URL to open
#   make test    install, check, run every test
#   make edge    the cloud's front door on this machine, before replicas of its own: make edge ARGS="--fault no-upgrade"
# make prove runs the proofs at full size, some 30 minutes: PROVE_CONNECTIONS, PROVE_HISTORIES, PROVE_NETWORKS,
# PROVE_SOAK_STREAMS, PROVE_SLOT_STREAMS, PROVE_OUTAGE_S, PROVE_RESTARTS, PROVE_RECOGNIZER_RESTARTS_S and
# PROVE_PHONE_SWITCHES say how much, PROVE_SEED says which.
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev
NODE := tests/node/node_modules/.installed
CODE := service ops loadtest tests
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-input --require-hashes
UV_COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header --custom-compile-command "make lock" $(LOCK_OPTIONS)

.PHONY: .venv serve test prove edge check lock coverage bench clean
.DELETE_ON_ERROR:

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11: call make with PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The stamps make the second call install nothing. The lock is part of the rule, so a new lock installs again.
$(RUNTIME): $(BIN)/python requirements-local.lock pyproject.toml
	$(PIP) --requirement requirements-local.lock
	$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-input --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): $(RUNTIME) requirements-dev.lock
	$(PIP) --requirement requirements-dev.lock
	@touch $@

.venv: $(RUNTIME)

# The mini-program's checks and tests are in Node. Where there is no npm they are left out, and CI has it.
$(NODE): tests/node/package.json tests/node/package-lock.json
	@if command -v npm >/dev/null; then cd tests/node && npm ci --no-audit --no-fund --silent && touch node_modules/.installed; \
		else echo "There is no npm: the mini-program is not checked."; test -z "$$NO_SKIPS"; fi

serve: $(RUNTIME)
	@HOST=127.0.0.1 PORT=$(PORT) AUTH_MODE=$${AUTH_MODE:-off} exec $(BIN)/python -m service

# Many tests wait for real processes: with four workers on two CPUs they take a third of the time.
TEST_WORKERS ?= 4
test: $(DEV) $(NODE) check coverage
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal --ignore tests/pure

# Of what `make test` runs a slice. A proof has its own guard against hanging, so that of single tests is off.
prove: $(DEV) $(NODE)
	PROVE_CONNECTIONS=$${PROVE_CONNECTIONS:-100000} PROVE_HISTORIES=$${PROVE_HISTORIES:-10000} \
		PROVE_NETWORKS=$${PROVE_NETWORKS:-200} PROVE_SOAK_STREAMS=$${PROVE_SOAK_STREAMS:-10000} \
		PROVE_SLOT_STREAMS=$${PROVE_SLOT_STREAMS:-150} PROVE_OUTAGE_S=$${PROVE_OUTAGE_S:-30} \
		PROVE_RESTARTS=$${PROVE_RESTARTS:-10} PROVE_RECOGNIZER_RESTARTS_S=$${PROVE_RECOGNIZER_RESTARTS_S:-60} \
		PROVE_PHONE_SWITCHES=$${PROVE_PHONE_SWITCHES:-10} \
		$(BIN)/python -m pytest -m proof -o faulthandler_timeout=0

ARGS ?= --replicas 2
edge: $(DEV)
	$(BIN)/python -m ops edge up $(ARGS)

# Left out: ASYNC114 wants a list of every startable function, ASYNC124 forbids what Quart's routes and protocols must be,
# ASYNC9 asks every async function for a checkpoint on every path, which is a rule for libraries. It takes 0.4 s for each
# file, so files without a word of its subject are left out.
check: $(DEV) $(NODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy & types=$$!; \
	grep -rlE --include='*.py' '\b(async|await|trio)\b' $(CODE) | xargs -n 40 -P $(TEST_WORKERS) \
		$(BIN)/flake8-async --enable ASYNC1,ASYNC2,ASYNC3,ASYNC4 --disable ASYNC114,ASYNC124; \
	async=$$?; wait $$types && exit $$async
	@if [ -e $(NODE) ]; then set -x; cd tests/node && npm run --silent check; fi

# Every branch of the pure parts is tested without Trio; which those are stands in pyproject.toml.
coverage: $(DEV)
	$(BIN)/python -m pytest -n auto --quiet --cov --cov-report=term --cov-fail-under=100 tests/pure

# What the gateway costs for each stream, against the baseline in the repository: docs/performance.md. Some ten minutes.
bench: $(DEV)
	$(BIN)/python -m loadtest.bench $(BENCH_OPTIONS)

# Locks with hashes for every platform; LOCK_OPTIONS=--upgrade takes new releases.
lock: $(DEV)
	$(UV_COMPILE) --output-file requirements.lock
	$(UV_COMPILE) --extra local --extra loadtest --extra ops --group pyproject.toml:build --output-file requirements-local.lock
	$(UV_COMPILE) --extra local --extra loadtest --extra ops --extra dev --group pyproject.toml:build --output-file requirements-dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage build *.egg-info tests/node/node_modules
