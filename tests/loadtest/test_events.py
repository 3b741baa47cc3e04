"""Commands in mid-run, as real processes."""

import shlex
import sys
from pathlib import Path

import pytest
import trio

from loadtest.events import OUTPUT_TAIL_CHARACTERS, run_events
from loadtest.scenario import Event
from loadtest.summary import EventResult
from tests.support.processes import wait_gone


def python(code: str) -> str:
    return shlex.join([sys.executable, "-c", code])


async def results_of(*commands: str) -> list[EventResult]:
    results: list[EventResult] = []
    with trio.fail_after(20):
        await run_events([Event(at_s=0, run=command) for command in commands], trio.current_time(), results)
    return results


async def test_exit_code_and_the_end_of_the_output() -> None:
    (result,) = await results_of(python("import sys; print('x' * 5000); print('ä', file=sys.stderr); sys.exit(3)"))
    assert (result.exit_code, len(result.output)) == (3, OUTPUT_TAIL_CHARACTERS)
    assert result.output.startswith("xxx")
    assert "ä" in result.output
    assert result.duration_s is not None
    assert result.duration_s > 0


async def test_no_shell_is_involved() -> None:
    (result,) = await results_of("echo $HOME ; exit 1 | cat")
    assert (result.exit_code, result.output) == (0, "$HOME ; exit 1 | cat\n")


async def test_what_cannot_be_started_says_why() -> None:
    results = {result.command: result for result in await results_of("/no/such/program", "'open", " ")}
    assert results["/no/such/program"].output == "cannot be started: No such file or directory"
    assert results["'open"].output == "cannot be started: No closing quotation"
    assert results[" "].output.startswith("cannot be started: ")
    assert {result.exit_code for result in results.values()} == {None}


async def test_each_is_started_when_it_is_due_and_not_before(tmp_path: Path) -> None:
    results: list[EventResult] = []
    began_s = trio.current_time()
    events = [Event(at_s=0.2, run="true"), Event(at_s=1000, run=f"touch {tmp_path / 'never'}")]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_events, events, began_s, results)
        with trio.fail_after(20):
            while not results or results[0].duration_s is None:  # noqa: ASYNC110 - a list has no event
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    (result,) = results
    assert result.at_s >= 0.2
    assert not (tmp_path / "never").exists()


async def test_one_that_is_repeated_never_meets_itself(tmp_path: Path) -> None:
    running = tmp_path / "running"
    code = f"import os, time; os.mkdir({str(running)!r}); time.sleep(0.2); os.rmdir({str(running)!r})"
    results: list[EventResult] = []
    began_s = trio.current_time()
    with trio.fail_after(20):
        await run_events([Event(at_s=0.1, run=python(code), times=3, every_s=0.15)], began_s, results)
    assert [result.exit_code for result in results] == [0, 0, 0]
    for number, result in enumerate(results):
        assert result.at_s >= 0.1 + number * 0.15


async def test_the_end_of_the_run_ends_a_command_and_what_it_started(tmp_path: Path) -> None:
    started, child = tmp_path / "pid", tmp_path / "child.py"
    child.write_text(f"import os, time; open({str(started)!r}, 'w').write(f'{{os.getpid()}}.'); time.sleep(1000)")
    parent = f"import subprocess, sys; subprocess.run([sys.executable, {str(child)!r}])"
    results: list[EventResult] = []
    events = [Event(at_s=0, run=python(parent))]
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_events, events, trio.current_time(), results)
            while not started.exists() or "." not in started.read_text():  # noqa: ASYNC110 - another process writes it
                await trio.sleep(0.01)
            assert [(result.exit_code, result.duration_s) for result in results] == [(None, None)]
            nursery.cancel_scope.cancel()
        await wait_gone(int(started.read_text().rstrip(".")))
    assert [result.exit_code for result in results] == [None]


async def test_a_command_of_another_user_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that was started by sudo: whoever runs these tests may be allowed to signal everybody."""

    def refuse(_group: int, _signal: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    results: list[EventResult] = []
    events = [Event(at_s=0, run=python("import time; time.sleep(1)"))]
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_events, events, trio.current_time(), results)
            while not results:  # noqa: ASYNC110 - a list has no event
                await trio.sleep(0.01)
            monkeypatch.setattr("os.killpg", refuse)
            nursery.cancel_scope.cancel()
    assert [result.exit_code for result in results] == [None]
