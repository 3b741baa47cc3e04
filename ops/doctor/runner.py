"""Asks one stage after the other. What goes wrong in one is its finding, and the next is asked all the same."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import trio

from ops.doctor.finding import Finding, Text, Verdict
from ops.doctor.stage import Context, Stage
from service.groups import leaves


async def examine(context: Context, stages: Iterable[Stage], on_finding: Callable[[Finding], None]) -> list[Finding]:
    """The findings, one for each stage, in order; `on_finding` is called with each as it comes.

    A stage whose `needs` failed, or could not be asked for the same reason, is skipped; a stage that was left out
    (`--only`, `--skip`) keeps nobody. A bug in a stage is a finding, too. Cancelled, it leaves nothing open.
    """
    findings: list[Finding] = []
    titles = {}
    blocked: dict[str, str] = {}  # which stage is behind it in the end
    for stage in stages:
        titles[stage.name] = stage.title
        missing = next((blocked[name] for name in stage.needs if name in blocked), None)
        if missing is None:
            began = trio.current_time()
            finding = replace(await _ask(stage, context), took_s=trio.current_time() - began)
        else:
            finding = _skipped(stage, titles[missing])
        if missing is not None or finding.verdict is Verdict.FAIL:
            blocked[stage.name] = missing or stage.name
        findings.append(finding)
        on_finding(finding)
    return findings


async def _ask(stage: Stage, context: Context) -> Finding:
    # A cancellation passes through the group that a stage's own nursery may make of it; only bugs are caught.
    found: Finding | None = None
    bug = ""
    try:
        with trio.fail_after(stage.limit_s):
            found = await stage.check(context)
    except* trio.TooSlowError:
        return_late = True
    except* Exception as group:  # a bug in this stage must not hide what the others have to say
        return_late = False
        bug = ", ".join(_place_of(error) for error in leaves(group))
    else:
        return_late = False
    if found is not None:
        return found
    if return_late and not bug:
        return Finding(
            stage=stage.name,
            verdict=Verdict.FAIL,
            summary=Text(f"no result within {stage.limit_s:g} s", f"{stage.limit_s:g} 秒内没有结果"),
            causes=("stage_timed_out",),
        )
    return Finding(
        stage=stage.name,
        verdict=Verdict.FAIL,
        summary=Text(f"the check itself failed: {bug}", f"检查自身出错：{bug}"),
        causes=("doctor_failed",),
    )


def _place_of(error: BaseException) -> str:
    """The kind of an error and where it was raised. Its text stays out: it may hold what must not be shown."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    return f"{type(error).__name__} in {trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"


def _skipped(stage: Stage, missing: Text) -> Finding:
    summary = Text(f"not asked, because of: {missing.en}", f"未检查，原因见：{missing.zh}")
    return Finding(stage=stage.name, verdict=Verdict.SKIP, summary=summary)
