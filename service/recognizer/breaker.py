"""The circuit breaker of this process: the pure `circuit` on Trio's clock, with its metric and its log lines."""

import contextlib
import logging
import random
from collections.abc import Callable, Iterator
from typing import Final

import trio

from service.failures import Problem, Slug, StreamFailed, problem
from service.recognizer.circuit import Circuit, State, Verdict, label_of, verdict_of
from service.recognizer.tencent import Trouble
from service.retry_hint import retry_hint_ms
from service.telemetry.logs import get_logger, log_event

_logger: Final = get_logger("recognizer")


class NotDialedError(StreamFailed):
    """The breaker is open: nothing was tried."""


class Breaker:
    """Says whether to dial the recognizer, and learns from what comes of it. One for a process; nothing here waits.

    Whoever was let through by `check` says how the attempt ended, by exactly one of `succeeded`, `failed` and
    `gave_up`. Who does not holds back the others for circuit.TRIAL_S, and only while the breaker is half open.
    """

    def __init__(self) -> None:
        self._circuit = Circuit()
        self._last = ""
        self._changed = trio.Event()

    @property
    def state(self) -> State:
        """As of the last thing that was asked or told; `/ready` and the metric show it."""
        return self._circuit.state

    @property
    def dial_in_s(self) -> float:
        """How long to wait before the next `check` may succeed; 0 when it may now. A probe can make it shorter."""
        return self._circuit.dial_in_s(trio.current_time())

    @property
    def is_closed(self) -> bool:
        """Whether the recognizer is not known to be down."""
        return self._circuit.state is State.CLOSED

    async def wait_dialable(self, most_s: float) -> None:
        """Return when the next `check` may succeed, or after `most_s`: at the end of a pause, but also as soon as a
        probe has ended it, or a trial has found the recognizer up or was given up."""
        with trio.move_on_after(most_s):
            while (left_s := self.dial_in_s) > 0:
                changed = self._changed
                with trio.move_on_after(left_s):
                    await changed.wait()

    @contextlib.contextmanager
    def attempt(self) -> Iterator[Callable[[], None]]:
        """One attempt to connect, while the `with` lasts: what it yields is called when the recognizer has accepted.

        Raises NotDialedError, as `check`, when there is to be none.
        """
        self.check()
        is_accepted = False

        def accepted() -> None:
            nonlocal is_accepted
            is_accepted = True
            self.succeeded()

        try:
            yield accepted
        except StreamFailed as failure:
            if not is_accepted:
                is_accepted = True
                self.failed(failure.problem)
            raise
        finally:
            if not is_accepted:
                self.gave_up()

    def check(self) -> None:
        """Before each attempt to connect. Raises NotDialedError with a hint when there is to be none."""
        before, now = self._circuit.state, trio.current_time()
        is_admitted = self._circuit.admits(now)
        self._note(before)
        if not is_admitted:
            message = f"The recognizer failed {self._circuit.failures} times in a row (last: {self._last})."
            hint_ms = round(1000 * self._circuit.dial_in_s(now)) + retry_hint_ms()
            raise NotDialedError(problem(Slug.RECOGNIZER_UNAVAILABLE, message, retry_after_ms=hint_ms))

    def failed(self, what: Trouble | int | Problem) -> None:
        """The recognizer was not reached, or did not accept: why, or its own code, or the problem made of either.

        What shows that it is up (a fault of the client's or of the account) counts as a success; what is not about the
        recognizer as a whole counts as given up.
        """
        match verdict_of(what):
            case Verdict.DOWN:
                before, self._last = self._circuit.state, label_of(what)
                self._circuit.failed(trio.current_time(), random.random())  # noqa: S311 - spreads load
                self._note(before)
            case Verdict.UP:
                self.succeeded()
            case Verdict.NOTHING:
                self.gave_up()

    def succeeded(self) -> None:
        """The recognizer has accepted."""
        before = self._circuit.state
        self._circuit.succeeded()
        self._note(before)

    def gave_up(self) -> None:
        """The attempt was cancelled, or was never made."""
        self._circuit.gave_up()
        if self._circuit.state is State.HALF_OPEN:
            self._wake()  # another one may be the trial

    # For the probing task:

    async def wait_open(self) -> None:
        """Return when it is open."""
        while self._circuit.state is not State.OPEN:
            await self._changed.wait()

    @property
    def probe_from(self) -> float:
        """When a probe can first change something, on Trio's clock; only while open."""
        return self._circuit.probe_from

    @property
    def pause_ends_at(self) -> float:
        """When the breaker is half open whatever the probes say, on Trio's clock; only while open."""
        return self._circuit.pause_ends_at

    def probed(self) -> None:
        """A probe has succeeded."""
        before = self._circuit.state
        self._circuit.probed(trio.current_time())
        self._note(before)

    def tick(self) -> None:
        """Notice that a pause is over, also when nobody dials."""
        before = self._circuit.state
        self._circuit.tick(trio.current_time())
        self._note(before)

    def _note(self, before: State) -> None:
        circuit = self._circuit
        if circuit.state is before:
            return
        self._wake()
        is_open = circuit.state is State.OPEN
        log_event(
            _logger,
            logging.WARNING if is_open else logging.INFO,
            "recognizer_breaker",
            state=circuit.state.name.lower(),
            failures=circuit.failures,
            last=self._last if circuit.failures else None,
            pause_ms=round(1000 * circuit.pause_s) if is_open else None,
        )

    def _wake(self) -> None:
        """Have those look again who wait for another state, or for their turn."""
        self._changed.set()
        self._changed = trio.Event()
