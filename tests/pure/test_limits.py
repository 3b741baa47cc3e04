"""What is said when a limit is reached, and when it leaves room again."""

import pytest

from service.failures import Slug
from service.settings import Settings
from service.stream.limits import DAY_MS, Answer, Excess, Limits, day_of, refusal, until_tomorrow_ms

LIMITS = Limits(streams_per_user=4, streams_per_address=9, new_streams_per_minute=30, audio_ms_per_day=600_000)


def test_those_of_the_settings() -> None:
    assert Limits.of(Settings()) == Limits(4, 0, 30, 0)
    settings = Settings(
        max_streams_per_user=4, max_streams_per_address=9, max_new_streams_per_minute=30, max_audio_s_per_day=600
    )
    assert Limits.of(settings) == LIMITS


@pytest.mark.parametrize(
    ("excess", "slug", "named"),
    [
        (Excess.USER, Slug.TOO_MANY_STREAMS, "user has 4 streams"),
        (Excess.ADDRESS, Slug.TOO_MANY_STREAMS, "9 streams from this address"),
        (Excess.RATE, Slug.TOO_MANY_NEW_STREAMS, "opened 30 streams"),
        (Excess.AUDIO, Slug.QUOTA_EXCEEDED, "600 s of audio"),
    ],
)
def test_each_has_its_slug_and_its_figure(excess: Excess, slug: Slug, named: str) -> None:
    told = refusal(Answer(excess), LIMITS, 5_000, 1_234)
    assert (told.slug, told.failure.close_code, told.failure.retryable) == (slug, 4429, True)
    assert named in told.message
    assert told.retry_after_ms is not None
    assert told.retry_after_ms >= 6_234


def test_those_who_wait_for_midnight_come_back_over_a_minute() -> None:
    hints = [refusal(Answer(Excess.AUDIO), LIMITS, 1_000, spread).retry_after_ms for spread in (1_000, 4_000)]
    assert hints == [16_000, 61_000]


def test_a_day_is_one_of_utc() -> None:
    midnight = 20_000 * DAY_MS
    assert day_of(midnight - 1) == 19_999
    assert day_of(midnight) == 20_000
    assert (until_tomorrow_ms(midnight), until_tomorrow_ms(midnight - 1)) == (DAY_MS, 1)
