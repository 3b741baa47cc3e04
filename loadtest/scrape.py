"""Reads the service's `/metrics` while a run goes on, so that a report can show both sides at the same time.

What the service says is a help and never a condition: whatever goes wrong here is a gap in a curve and a note, and the
run goes on.
"""

import re
import ssl
from collections.abc import Callable, Iterator
from typing import Final

import httpx2
import trio
from prometheus_client.parser import text_string_to_metric_families

from loadtest import server_curves
from loadtest.server_curves import NAMES, Sample, Scrape, has_restarted, server_point
from loadtest.summary import ServerPoint
from loadtest.urls import STREAM_PATH, stream_url

EVERY_S: Final = 2.0
"""Fine enough for a curve over minutes, and one request in two seconds moves no figure."""
DEADLINE_S: Final = 1.5
"""Of one scrape, so that it is over before the next is due."""
MAX_BODY_BYTES: Final = 2**20
"""Our service says 20 KiB; larger services 200 KiB."""
_FAILURES_TO_TELL: Final = 5
_RESTARTS_TO_TELL: Final = 5
_FAILURES: Final = (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, trio.TooSlowError)
"""What a service, the way to it and its answer can do wrong. ValueError: the answer is not what it should be."""
_NAME: Final = re.compile("[a-zA-Z_:][a-zA-Z0-9_:]*")
_HINTS: Final = {
    401: ", it wants the METRICS_TOKEN of the service",
    404: ", as to other machines without METRICS_TOKEN",
}
_REFUSALS: Final = frozenset({401, 403, 404, 405, 410})


class NotMetrics(ValueError):
    """An answer that is no figure of the service; the text says why, for the operator."""


def metrics_url(url: str) -> str:
    """Where the metrics of the service are, from its base or its stream URL; a prefix of a reverse proxy is kept.

    Raises UrlError for what is no such URL. Pure.
    """
    return "http" + stream_url(url).removeprefix("ws").removesuffix(STREAM_PATH) + "/metrics"


def parse(text: str, at_s: float) -> Scrape:
    """One exposition in the Prometheus text format. Raises NotMetrics when nothing in it is known. Pure.

    Only lines that are of use are parsed: the rest of a large exposition would hold up the event loop.
    """
    useful = "\n".join(_useful_lines(text)) + "\n"
    try:
        samples = tuple(
            Sample(sample.name, sample.labels, float(sample.value))
            for family in text_string_to_metric_families(useful)
            for sample in family.samples
            if sample.name in NAMES
        )
    except (ValueError, IndexError, KeyError, OverflowError):  # the parser is lax about what it raises
        raise NotMetrics("its answer is not in the Prometheus text format") from None
    if not samples:
        raise NotMetrics("its answer has no metric that is known here")
    return Scrape(at_s, samples)


def _useful_lines(text: str) -> Iterator[str]:
    # A line ends with \n only: splitlines would also cut at characters that a label may contain.
    for line in text.split("\n"):
        name = _NAME.match(line)
        if name and name[0] in NAMES:
            yield line


async def scrape(
    metrics_url: str,
    token: str | None,
    begins_at_s: float,
    add: Callable[[ServerPoint], None],
    *,
    note: Callable[[str], None] = lambda line: None,
    tls: ssl.SSLContext | None = None,
    every_s: float = EVERY_S,
    deadline_s: float = DEADLINE_S,
) -> None:
    """Calls `add` with the figures of the service every 2 s, until cancelled or until it is clear that it gives none.

    Never raises on account of the service. One that is not there, slow, or answers with nonsense leaves a gap and is
    asked again; one that has not given any figure yet and refuses (401, 404 …), or has nothing that is known, is left
    alone. `note` is called with a line for the operator, a few times at most; it never holds the token. `begins_at_s`
    is when the run began, on Trio's clock. `tls` is for `https`, by default the system's certificates. The token goes
    to that URL only: redirects are not followed, and proxies of the environment not used, as streams use none.
    """
    before: Scrape | None = None
    failures = restarts = 0
    async with await _client(metrics_url, token, tls) as client:
        due = trio.current_time()
        while True:
            try:
                with trio.fail_after(deadline_s):
                    text = await _get(client, metrics_url)
                after = parse(text, trio.current_time() - begins_at_s)
            except (_Refused, NotMetrics) as refused:
                if before is None:
                    note(f"no figures of the service: {metrics_url}: {refused}")
                    return
                failures += 1
            except _FAILURES as error:
                failures += 1
                if failures == _FAILURES_TO_TELL:
                    note(f"{metrics_url} did not answer {failures} times in a row ({type(error).__name__})")
            else:
                failures = 0
                if before is not None and has_restarted(before, after):
                    restarts += 1
                    if restarts == _RESTARTS_TO_TELL:
                        note(f"{metrics_url} belongs to several instances, or to one that restarts: rates have gaps")
                add(server_point(before, after))
                before = after
            due = max(due + every_s, trio.current_time())
            await trio.sleep_until(due)


async def server_info(metrics_url: str, token: str | None, *, tls: ssl.SSLContext | None = None) -> dict[str, str]:
    """What the service says of itself on `/metrics` (`version`, `python`), within 1.5 s; empty when it does not.

    Never raises on account of the service.
    """
    try:
        with trio.fail_after(DEADLINE_S):
            async with await _client(metrics_url, token, tls) as client:
                return server_curves.server_info(parse(await _get(client, metrics_url), 0.0))
    except (_Refused, *_FAILURES):
        return {}


class _Refused(Exception):
    """The service is there and does not give its metrics to us."""


async def _client(url: str, token: str | None, tls: ssl.SSLContext | None) -> httpx2.AsyncClient:
    if tls is None:
        # Loading certificates takes tens of milliseconds, in which no frame would be sent. Without TLS none is needed,
        # and a context without certificates trusts nobody.
        if url.startswith("https:"):
            tls = await trio.to_thread.run_sync(ssl.create_default_context)
        else:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    headers = [
        (b"Accept", b"text/plain;version=0.0.4"),
        (b"Accept-Encoding", b"identity"),
        (b"User-Agent", b"voice-loadtest"),
    ]
    if token:
        # As the service reads headers; a token that has no such bytes matches nothing, and must not raise here.
        headers.append((b"Authorization", b"Bearer " + token.encode("latin-1", errors="replace")))
    return httpx2.AsyncClient(
        verify=tls, headers=headers, timeout=DEADLINE_S, trust_env=False, limits=httpx2.Limits(max_connections=1)
    )


async def _get(client: httpx2.AsyncClient, url: str) -> str:
    """The body of the answer. Raises _Refused, NotMetrics, or what httpx does."""
    async with client.stream("GET", url) as response:
        status = response.status_code
        if status in _REFUSALS:
            raise _Refused(f"it answers {status}" + _HINTS.get(status, ""))
        if response.is_redirect:
            raise NotMetrics(f"it answers {status}, elsewhere")
        response.raise_for_status()
        if "content-encoding" in response.headers:  # not asked for, and a few bytes of it can become very many
            raise NotMetrics("its answer is compressed")
        body = bytearray()
        try:
            async for part in response.aiter_raw():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    # The connection is closed instead of the loop left: then the generators inside httpx come to their
                    # end too, and not when the garbage collector finds them.
                    await response.aclose()
        except httpx2.TransportError:
            if len(body) <= MAX_BODY_BYTES:
                raise
        if len(body) > MAX_BODY_BYTES:
            raise NotMetrics(f"its answer is larger than {MAX_BODY_BYTES} bytes")
        return body.decode("utf-8", errors="replace")
