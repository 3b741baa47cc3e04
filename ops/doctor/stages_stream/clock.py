"""Three clocks: here, at the gateway, and at the recognizer, which refuses signatures of another time (4002)."""

from dataclasses import dataclass
from typing import Final

from ops.doctor.exchange import path_of
from ops.doctor.finding import Fact, Finding, Text
from ops.doctor.stage import Context, Stage
from ops.doctor.stages_stream.issues import Issue, failed, finding_of, skipped, warned
from ops.doctor.stages_stream.reaching import get
from ops.doctor.stages_stream.said import CLOCK_FAIL_S

CLOCK_WARN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Skews:
    """How far clocks are before ours, in seconds; None: not known."""

    gateway_s: float | None = None
    """By `welcome`, which the gateway itself says."""
    date_s: float | None = None
    """By the `Date` header, which a proxy in front may have set."""
    recognizer_s: float | None = None

    @property
    def gateway_before_us_s(self) -> float | None:
        """The better one of the two."""
        return self.date_s if self.gateway_s is None else self.gateway_s


async def check(context: Context) -> Finding:
    """Compare them. Leaves `gateway_skew_s`: how far the gateway is before the best clock that is known."""
    answer = await get(context, path_of(context, "/health"))
    skews = Skews(
        _difference(context.found.get("gateway_clock")),
        None if answer is None or answer.date_s is None else answer.date_s + 0.5 - answer.at_s,  # cut: half a second
        _difference(context.found.get("recognizer_clock")),
    )
    if skews.gateway_before_us_s is None and skews.recognizer_s is None:
        return skipped("clock", "nobody told the time", "没有得到任何一方的时间")
    if skews.gateway_before_us_s is not None:
        context.found["gateway_skew_s"] = skews.gateway_before_us_s - (skews.recognizer_s or 0.0)
    return judge(skews)


def _difference(theirs_and_ours_s: tuple[float, float] | None) -> float | None:
    return None if theirs_and_ours_s is None else theirs_and_ours_s[0] - theirs_and_ours_s[1]


def judge(skews: Skews) -> Finding:
    """The finding. With the recognizer's clock it is known who is wrong, without it only that somebody is. Pure."""
    facts: dict[str, Fact] = {
        "gateway_before_here_s": _rounded(skews.gateway_s),
        "date_header_before_here_s": _rounded(skews.date_s),
        "recognizer_before_here_s": _rounded(skews.recognizer_s),
    }
    gateway_s = skews.gateway_before_us_s
    issues: list[Issue] = []
    if skews.recognizer_s is None:
        if gateway_s is not None:
            issues += _issue(
                gateway_s, ("clock_skew", "own_clock_wrong"), "the gateway", "this machine", "网关时钟", "本机"
            )
    else:
        issues += _issue(
            -skews.recognizer_s, ("own_clock_wrong",), "this machine", "the recognizer", "本机时钟", "识别引擎"
        )
        if gateway_s is not None:
            behind_s = gateway_s - skews.recognizer_s
            issues = _issue(behind_s, ("clock_skew",), "the gateway", "the recognizer", "网关时钟", "识别引擎") + [
                # Ours alone does no harm to streams.
                warned(issue.causes, issue.text.en, issue.text.zh)
                for issue in issues
            ]
    compared = max((abs(skew_s) for skew_s in (gateway_s, skews.recognizer_s) if skew_s is not None), default=0.0)
    sound = Text(f"the clocks agree to {compared:.1f} s", f"各方时钟相差不超过 {compared:.1f} s")
    return finding_of("clock", issues, sound, facts)


def _issue(skew_s: float, causes: tuple[str, ...], en: str, en_from: str, zh: str, zh_from: str) -> list[Issue]:
    if abs(skew_s) <= CLOCK_WARN_S:
        return []
    say = failed if abs(skew_s) > CLOCK_FAIL_S else warned
    ahead = skew_s > 0
    return [
        say(
            causes,
            f"the clock of {en} is {abs(skew_s):.0f} s {'ahead of' if ahead else 'behind'} that of {en_from}",
            f"{zh}比{zh_from}{'快' if ahead else '慢'} {abs(skew_s):.0f} s",
        )
    ]


def _rounded(skew_s: float | None) -> float | None:
    return None if skew_s is None else round(skew_s, 1) + 0.0  # no minus before a zero


STAGE: Final = Stage(name="clock", title=Text("Clocks", "时钟"), check=check, needs=("http",))
