"""Runs, as processes, whose outcome must not be taken for what it is not."""

from pathlib import Path

from tests.loadtest.protocol_server import Phone
from tests.loadtest.run_support import answer, code_of, in_time, judged, write_scenario


async def test_an_event_for_which_the_run_was_too_short_makes_it_invalid(tmp_path: Path) -> None:
    """The last call has ended a second before: the restart that the scenario is about has not happened."""
    scenario = write_scenario(tmp_path, per_s=0.5, for_s=2.0, more='events = [{at_s = 2.0, run = "true"}]')
    ended = await judged(tmp_path, answer, "--scenario", scenario)
    assert ended.code == 3
    assert "1 of the events never began: all calls had ended before" in ended.summary.reasons


async def test_a_service_that_boasts_of_its_sentences_is_reported_in_time(tmp_path: Path) -> None:
    """A number that it says must not become memory or time of ours."""

    async def boast(phone: Phone, number: int) -> None:
        await phone.say("ready", streamId=f"s-{number}")
        await phone.hear("stop")
        await phone.say("stopped", text="", sentences=10**12)
        await phone.close(1000)

    ended = await in_time(tmp_path, boast, "--scenario", write_scenario(tmp_path, per_s=2))
    assert ended.code == code_of(ended, 0)
    assert ended.summary.words.lost_finals == 2 * 10**12
