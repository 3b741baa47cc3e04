"""The breaker of a process and its probing task, in virtual time."""

import contextlib
import dataclasses
import logging
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from service.deps import Deps
from service.failures import Slug, StreamFailed, problem
from service.recognizer.breaker import Breaker
from service.recognizer.circuit import FAILURES, JITTER, PAUSE_S, TRIAL_S, State
from service.recognizer.probe import EVERY_S, PROBE_S, answers, keep_probing
from service.recognizer.target import RecognizerDirectory, RecognizerTarget
from service.recognizer.tencent import Trouble
from service.settings import RecognizerKind, Settings, TencentCredentials

TARGET = RecognizerTarget(RecognizerKind.TENCENT, "ws://recognizer.test:81", TencentCredentials("1", "b", "c"), ())
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1700000000"


def opened(times: int = FAILURES) -> Breaker:
    breaker = Breaker()
    for _ in range(times):
        breaker.check()
        breaker.failed(Trouble.CONNECT)
    return breaker


def refused(breaker: Breaker) -> StreamFailed:
    with pytest.raises(StreamFailed) as caught:
        breaker.check()
    return caught.value


class Host:
    """What is dialed: answers with these bytes, or hangs."""

    def __init__(self, nursery: trio.Nursery, answer: bytes | None) -> None:
        self._nursery = nursery
        self.answer = answer
        self.asked: list[bytes] = []
        self.dialed_at: list[float] = []
        self.open = 0
        self.hangs_after_answer = answer is None

    async def dial(self, url: str) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        assert url == TARGET.url
        self.dialed_at.append(trio.current_time())
        ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self._serve, theirs)
        return ours

    async def _serve(self, stream: trio.abc.Stream) -> None:
        self.open += 1
        self.asked.append(bytes(await stream.receive_some()))
        with contextlib.suppress(trio.BrokenResourceError):  # it has heard enough
            for place in range(len(self.answer or b"")):
                await stream.send_all((self.answer or b"")[place : place + 1])
            if self.hangs_after_answer:
                assert not await stream.receive_some()
            else:
                await stream.aclose()
        self.open -= 1


async def test_refusals_say_why_and_when_to_come_back(autojump_clock: object) -> None:
    breaker = opened(FAILURES - 1)
    breaker.check()
    breaker.failed(5001)
    told = refused(breaker).problem
    assert told.slug is Slug.RECOGNIZER_UNAVAILABLE
    assert told.message == "The recognizer failed 5 times in a row (last: 5001)."
    breaker._circuit.pause_s = 100
    hint_ms = refused(breaker).problem.retry_after_ms
    assert hint_ms is not None
    assert 100_000 + 1000 <= hint_ms <= 100_000 + 4000
    await trio.sleep(breaker.dial_in_s)
    breaker.check()
    assert refused(breaker).problem.slug is Slug.RECOGNIZER_UNAVAILABLE  # one is enough
    breaker.succeeded()
    breaker.check()
    breaker.check()
    assert breaker.dial_in_s == 0


async def test_what_shows_that_it_is_up_closes_and_what_shows_nothing_gives_up(autojump_clock: object) -> None:
    breaker = opened()
    await trio.sleep(breaker.dial_in_s)
    breaker.check()
    breaker.failed(problem(Slug.RECOGNIZER_BUSY, "no slot"))  # it was never dialed
    assert breaker.state is State.HALF_OPEN
    breaker.check()
    breaker.gave_up()
    breaker.check()
    breaker.failed(problem(Slug.BAD_START, "", recognizer_code=4001))
    assert breaker.state.name == "CLOSED"


async def test_a_client_that_leaves_during_the_trial_blocks_nobody_for_good(autojump_clock: object) -> None:
    breaker = opened()
    await trio.sleep(breaker.dial_in_s)
    breaker.check()
    refused(breaker)
    await trio.sleep(TRIAL_S)
    breaker.check()


async def test_each_change_is_logged_once(autojump_clock: object, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "voice.recognizer")
    breaker = opened()
    pause_ms = round(1000 * breaker.dial_in_s)
    refused(breaker)
    await trio.sleep(breaker.dial_in_s)
    breaker.check()
    breaker.failed(Trouble.UPGRADE)
    breaker.succeeded()
    breaker.succeeded()
    lines = [(record.levelname, record.msg, record.__dict__["voice_fields"]) for record in caplog.records]
    second_pause_ms = lines[2][2].pop("pause_ms")
    assert second_pause_ms >= 2000 * PAUSE_S[0] * (1 - JITTER)
    assert lines == [
        (
            "WARNING",
            "recognizer_breaker",
            {"state": "open", "failures": 5, "last": "connect", "pause_ms": pause_ms},
        ),
        ("INFO", "recognizer_breaker", {"state": "half_open", "failures": 5, "last": "connect", "pause_ms": None}),
        ("WARNING", "recognizer_breaker", {"state": "open", "failures": 6, "last": "upgrade"}),
        ("INFO", "recognizer_breaker", {"state": "closed", "failures": 0, "last": None, "pause_ms": None}),
    ]


async def test_the_metric_is_that_of_these_deps(autojump_clock: object) -> None:
    deps = Deps.from_settings(Settings())

    def gauge() -> float | None:
        return deps.metrics.registry.get_sample_value("voice_recognizer_breaker")

    assert gauge() == 0
    replaced = dataclasses.replace(deps, breaker=opened())
    assert gauge() == 2
    await trio.sleep(replaced.breaker.dial_in_s)
    replaced.breaker.check()
    assert gauge() == 1


@pytest.fixture
def probing(nursery: trio.Nursery) -> Iterator[tuple[Breaker, Host, RecognizerDirectory]]:
    """A closed breaker with its task, and a host that answers nothing yet."""
    breaker, host, directory = Breaker(), Host(nursery, None), RecognizerDirectory(TARGET)
    nursery.start_soon(keep_probing, breaker, directory, host.dial)
    yield breaker, host, directory
    nursery.cancel_scope.cancel()


Probing = tuple[Breaker, Host, RecognizerDirectory]


def break_it(breaker: Breaker) -> None:
    for _ in range(FAILURES):
        breaker.check()
        breaker.failed(Trouble.CONNECT)


async def fail_trials(breaker: Breaker, times: int) -> None:
    """Until pauses are long."""
    break_it(breaker)
    for _ in range(times):
        await trio.sleep(breaker.dial_in_s)
        breaker.check()
        breaker.failed(Trouble.CONNECT)


async def test_nothing_is_probed_while_it_is_closed_or_half_open(autojump_clock: object, probing: Probing) -> None:
    breaker, host, _ = probing
    await trio.sleep(100)
    break_it(breaker)
    await trio.sleep(100)
    assert breaker.state is State.HALF_OPEN  # without anybody asking
    assert len(host.dialed_at) == 1
    assert host.open == 0


async def test_a_probe_that_succeeds_lets_a_dial_through(autojump_clock: object, probing: Probing) -> None:
    breaker, host, _ = probing
    await fail_trials(breaker, 8)
    probe_from, pause_s = breaker.probe_from, breaker.dial_in_s
    host.dialed_at.clear()
    host.answer = OK
    await trio.sleep(pause_s / 2)
    assert host.dialed_at == [probe_from]
    assert host.asked[-1] == (
        b"GET /server_time HTTP/1.1\r\nHost: recognizer.test:81\r\nAccept: text/plain\r\nConnection: close\r\n\r\n"
    )
    assert breaker.state is State.HALF_OPEN
    breaker.check()
    breaker.succeeded()
    assert host.open == 0
    break_it(breaker)  # and it probes again the next time
    await trio.sleep(PAUSE_S[0])
    assert len(host.dialed_at) == 2


@pytest.mark.parametrize("answer", [None, b"", b"HTTP/1.1 404 Not Found\r\n\r\n", b"HTTP/1.1 200", b"x" * 3000])
async def test_probes_that_fail_change_nothing(autojump_clock: object, probing: Probing, answer: bytes | None) -> None:
    breaker, host, _ = probing
    host.answer, host.hangs_after_answer = answer, answer is None
    await fail_trials(breaker, 8)
    pause_s, ends_at = breaker.dial_in_s, breaker.pause_ends_at
    host.dialed_at.clear()
    await trio.sleep(pause_s - 0.001)
    refused(breaker)
    assert len(host.dialed_at) >= (pause_s * 0.75) // (PROBE_S + EVERY_S)
    await trio.sleep_until(ends_at)
    breaker.check()
    await trio.testing.wait_all_tasks_blocked()
    assert host.open == 0


async def test_no_target_no_probe(autojump_clock: object, probing: Probing) -> None:
    breaker, host, directory = probing
    directory.target = None
    await fail_trials(breaker, 8)
    host.answer = OK
    await trio.sleep(breaker.dial_in_s / 2)
    assert (host.dialed_at, breaker.state) == ([], State.OPEN)
    directory.target = TARGET  # the local recognizer was started again
    await trio.sleep(EVERY_S)
    assert breaker.state is State.HALF_OPEN


async def test_no_more_is_read_than_a_line_may_have(autojump_clock: object, nursery: trio.Nursery) -> None:
    host = Host(nursery, b"x" * 1024)
    host.hangs_after_answer = True
    began = trio.current_time()
    assert not await answers(TARGET.url, host.dial)
    assert trio.current_time() == began
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "error", [OSError("refused"), trio.BrokenResourceError(), UnicodeError("label empty or too long")]
)
async def test_a_host_that_cannot_be_dialed_is_no_answer(autojump_clock: object, error: Exception) -> None:
    async def dial(_url: str) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        raise error

    assert not await answers(TARGET.url, dial)


async def test_a_dial_that_hangs_ends_with_the_probe(autojump_clock: object) -> None:
    async def dial(_url: str) -> trio.abc.Stream:
        await trio.sleep_forever()
        raise AssertionError

    began = trio.current_time()
    assert not await answers(TARGET.url, dial)
    assert trio.current_time() == began + PROBE_S
