"""The doctor's stages from the stream on: their judgments, and a sound gateway with its local recognizer."""

import dataclasses
from collections.abc import Iterator

import pytest
import trio

from loadtest.plan import PlannedCall
from loadtest.record import AudioAccount, Ending, StreamRecord, Transcript
from loadtest.scenario import Behavior
from ops.doctor.address import base_url
from ops.doctor.causes import CATALOGUE
from ops.doctor.causes_stream import CAUSES
from ops.doctor.exchange import MAX_BODY_BYTES
from ops.doctor.finding import Finding, Verdict
from ops.doctor.stage import Context
from ops.doctor.stages_stream import STAGES, clock, credentials, miniprogram, reaching, stream
from ops.doctor.stages_stream.clock import Skews
from ops.doctor.stages_stream.miniprogram import Handshake
from ops.doctor.stages_stream.said import causes_of, causes_of_code, code_in
from ops.doctor.stages_stream.stream import Heard, knows_the_sample
from service.failures import CATALOGUE as FAILURES
from service.failures import Slug
from service.recognizer.tencent import ENGINES, KNOWN_CODES, Refused, problem_of
from service.settings import AuthMode, RecognizerKind, Settings
from tests.ops.doctor_stream_world import HANG_S, SECRET, settings_of, target, tls_front, world
from tests.ops.doctor_support import server
from tests.support.gateway import CREDENTIALS
from tests.support.processes import gateway
from tests.support.tls import contexts

STAGE_NAMES = ("locked", "recognizer", "clock", "stream", "credentials", "miniprogram")


def record(**fields: object) -> StreamRecord:
    """A stream that went well, but for these."""
    planned = PlannedCall(number=0, at_s=0.0, track=0, behavior=Behavior.TALKER, seed=0, turn_at=0.5)
    sound = StreamRecord(
        number=planned.number,
        behavior=planned.behavior,
        track=0,
        at_planned_s=0.0,
        ending=Ending.COMPLETED,
        first_partial_s=0.4,
        finalization_s=0.3,
        text="go",
        audio=AudioAccount(10, 10, 10, 0),
    )
    for name, value in fields.items():
        setattr(sound, name, value)
    return sound


def told(finding: Finding) -> tuple[str, tuple[str, ...]]:
    return str(finding.verdict), finding.causes


def test_the_stages_in_order() -> None:
    assert tuple(stage.name for stage in STAGES) == STAGE_NAMES


def _texts() -> Iterator[tuple[str, str, str]]:
    for cause in CAUSES:
        for text in (cause.title, cause.why, *(remedy.what for remedy in cause.remedies)):
            yield cause.slug, text.en, text.zh


def test_every_cause_is_told_in_both_languages_and_has_a_remedy() -> None:
    for slug, en, zh in _texts():
        assert en.strip(), slug
        assert en.isascii(), slug
        assert not zh.isascii(), slug
    for cause in CAUSES:
        assert CATALOGUE[cause.slug] is cause
        assert cause.remedies, cause.slug
        assert any(remedy.command for remedy in cause.remedies), cause.slug


def test_every_failure_of_the_catalogue_has_a_cause() -> None:
    for slug, failure in FAILURES.items():
        causes = causes_of(slug, "")
        assert causes, slug
        assert all(cause in CATALOGUE for cause in causes), slug
        if slug not in (Slug.AUDIO_LOST, Slug.STEREO_SUSPECTED) and not failure.http_only and failure.fatal:
            has_its_own = causes != ("protocol_differs",)
            is_of_the_doctor = slug in (Slug.BAD_START, Slug.UNSUPPORTED_AUDIO, Slug.MESSAGE_TOO_BIG)
            assert has_its_own != is_of_the_doctor, slug


@pytest.mark.parametrize("code", KNOWN_CODES)
def test_every_code_of_the_recognizer_is_read_from_what_the_gateway_says(code: int) -> None:
    problem = problem_of(Refused(code, ""), engine="16k_zh", engines=ENGINES, retry_after_ms=1)
    assert code_in(problem.message) == code
    assert causes_of(problem.slug, problem.message) == causes_of_code(code)
    assert all(cause in CATALOGUE for cause in causes_of_code(code))


def test_a_clock_known_to_be_wrong_goes_before_the_key() -> None:
    assert causes_of_code(4002) == ("recognizer_wrong_credentials", "clock_skew")
    assert causes_of_code(4002, -600.0) == ("clock_skew", "recognizer_wrong_credentials")
    assert causes_of_code(4002, 2.0) == ("recognizer_wrong_credentials",)


@pytest.mark.parametrize(
    ("fields", "verdict", "causes"),
    [
        ({}, "pass", ()),
        ({"first_partial_s": 0.81}, "warn", ("first_words_slow",)),
        ({"finalization_s": 0.81}, "warn", ("finalization_slow",)),
        ({"finalization_s": 0.81, "lateness_max_s": 0.5}, "warn", ("this_machine_late", "finalization_slow")),
        ({"lateness_max_s": 0.5}, "pass", ()),
        ({"text": " "}, "warn", ("nothing_heard",)),
        ({"transcript": Transcript.COMPLETE}, "pass", ()),
        ({"transcript": Transcript.TRUNCATED}, "warn", ("words_differ",)),
        ({"audio": AudioAccount(10, 8, 8, 0)}, "warn", ("audio_dropped",)),
        ({"audio": AudioAccount(10, 10, 8, 2)}, "warn", ("audio_dropped",)),
        ({"lost_finals": 1}, "warn", ("results_lost",)),
        ({"ending": Ending.UNREACHABLE}, "fail", ("stream_unreachable",)),
        ({"ending": Ending.REFUSED, "http_status": 404}, "fail", ("stream_path_not_routed",)),
        ({"ending": Ending.REFUSED, "http_status": 503}, "fail", ("draining", "connections_full")),
        ({"ending": Ending.UNANSWERED}, "fail", ("stream_unanswered",)),
        ({"ending": Ending.LOST}, "fail", ("stream_cut",)),
        ({"ending": Ending.CUT_SHORT}, "fail", ("draining", "max_stream_too_short")),
        ({"ending": Ending.PROTOCOL}, "fail", ("protocol_differs",)),
    ],
)
def test_a_spoken_stream_is_judged(fields: dict[str, object], verdict: str, causes: tuple[str, ...]) -> None:
    assert told(stream.judge(record(**fields), Heard())) == (verdict, causes)


def test_what_people_said_is_never_told() -> None:
    assert "secret words" not in repr(stream.judge(record(text="secret words"), Heard()))


@pytest.mark.parametrize(
    ("skews", "verdict", "causes"),
    [
        (Skews(0.4, 0.5, -0.5), "pass", ()),
        (Skews(date_s=59.0), "pass", ()),
        (Skews(gateway_s=-61.0), "warn", ("clock_skew", "own_clock_wrong")),
        (Skews(gateway_s=301.0), "fail", ("clock_skew", "own_clock_wrong")),
        (Skews(0.0, 600.0), "pass", ()),  # a proxy's Date; the gateway's own word counts
        (Skews(600.0, None, 0.0), "fail", ("clock_skew",)),
        (Skews(600.0, None, 600.0), "warn", ("own_clock_wrong",)),
        (Skews(0.0, None, 600.0), "fail", ("clock_skew", "own_clock_wrong")),
        (Skews(recognizer_s=600.0), "fail", ("own_clock_wrong",)),
    ],
)
def test_clocks_are_judged(skews: Skews, verdict: str, causes: tuple[str, ...]) -> None:
    assert told(clock.judge(skews)) == (verdict, causes)


@pytest.mark.parametrize(
    ("host", "port", "handshake", "verdict", "causes"),
    [
        ("voice.example.com", 443, Handshake("TLSv1.3"), "pass", ()),
        ("voice.example.com", 8443, Handshake("TLSv1.2"), "warn", ("port_in_domain",)),
        ("voice.example.com", 443, Handshake("TLSv1.1"), "fail", ("tls_too_old",)),
        ("voice.example.com", 443, Handshake(problem="no connection"), "fail", ("tls_not_reached",)),
        ("gateway", 443, Handshake("TLSv1.3"), "fail", ("not_a_public_name",)),
        ("2001:db8::1", 443, Handshake("TLSv1.3"), "fail", ("ip_address_not_allowed",)),
        ("a.run.tcloudbase.com", 443, Handshake("TLSv1.3"), "warn", ("test_domain",)),
        (
            "gateway.lan",
            443,
            Handshake(is_certificate_refused=True),
            "fail",
            ("not_a_public_name", "certificate_not_public"),
        ),
    ],
)
def test_addresses_are_judged(
    host: str, port: int, handshake: Handshake, verdict: str, causes: tuple[str, ...]
) -> None:
    assert told(miniprogram.judge(target(host, port, "https"), handshake)) == (verdict, causes)


def test_the_domains_to_enter_are_told_exactly() -> None:
    finding = miniprogram.judge(target("voice.example.com", 443, "https"), Handshake("TLSv1.3"))
    for said in (finding.summary.en, finding.summary.zh):
        assert "request https://voice.example.com" in said
        assert "socket wss://voice.example.com" in said
        assert "uploadFile https://voice.example.com" in said
        assert "ICP" in said
    assert finding.facts["socket_domain"] == "wss://voice.example.com"


async def test_on_loopback_there_is_no_mini_program() -> None:
    finding = await miniprogram.check(Context(target=target("localhost", 443, "https")))
    assert finding.verdict is Verdict.SKIP


async def test_without_settings_the_account_is_what_the_stream_said() -> None:
    said = stream.judge(record(), Heard()).summary
    finding = await credentials.check(Context(target=target(), found={"stream_said": said}))
    assert finding.verdict is Verdict.SKIP
    assert said.en in finding.summary.en


async def test_an_account_of_the_platform_is_not_tried() -> None:
    role = dataclasses.replace(settings_of("wss://asr.example.com"), credentials=None, role_app_id="1250000000")
    assert (await credentials.check(Context(target=target(), settings=role))).verdict is Verdict.SKIP


def test_ready_is_read_with_and_without_its_envelope() -> None:
    data = {"phase": "serving", "recognizer": "up", "slots": {"used": 3, "total": 4}, "streams": 2, "shedding": True}
    state = reaching.ReadyState("serving", "up", 3, 4, 2, True)
    assert reaching.parse_ready(data) == reaching.parse_ready({"code": 0, "data": data}) == state
    strange_bodies: tuple[object, ...] = (None, [], "<html>", {"data": 3}, {"data": {"phase": 3}}, {})
    for strange in strange_bodies:
        assert reaching.parse_ready(strange) is None
    assert reaching.parse_ready({"phase": "serving", "slots": "many"}) is not None


def test_addresses_keep_prefix_and_port() -> None:
    assert reaching.stream_address(target("h", 443, "https", "/p/")) == "wss://h/p/api/realtime-voice/stream"
    assert base_url(target("::1", 8000)) == "http://[::1]:8000"


def test_a_token_is_minted_where_the_secret_is_known() -> None:
    settings = Settings(auth_mode=AuthMode.TOKEN, jwt_secret=SECRET)
    assert (reaching.token_of(Context(target=target(), settings=settings)) or "").count(".") == 2
    assert reaching.token_of(Context(target=target(), settings=settings, token="given")) == "given"
    assert reaching.token_of(Context(target=target(), settings=Settings())) is None


def test_words_are_expected_of_the_local_recognizer_in_english_only() -> None:
    local = Settings(recognizer=RecognizerKind.LOCAL, default_engine="16k_en")
    assert knows_the_sample(local)
    assert not knows_the_sample(dataclasses.replace(local, default_engine="16k_zh"))
    assert not knows_the_sample(dataclasses.replace(local, recognizer=RecognizerKind.TENCENT))
    assert not knows_the_sample(None)


async def test_an_account_that_is_accepted_leaves_no_stream_behind() -> None:
    with trio.fail_after(HANG_S):
        async with world(is_known=True) as there:
            finding = await credentials.check(there.context)
            assert told(finding) == ("pass", ())
            assert there.recognizer.live == 0
            assert there.recognizer.connections == 1


async def test_asking_dials_no_recognizer() -> None:
    with trio.fail_after(HANG_S):
        async with world(auth_mode=AuthMode.TOKEN, jwt_secret=SECRET, is_known=True) as there:
            finding = await STAGES[0].check(there.context)
            assert told(finding) == ("pass", ())
            assert there.recognizer.connections == 0
            assert CREDENTIALS.secret_key not in repr(finding)


async def test_over_tls_the_authority_of_the_operator_is_trusted() -> None:
    server_tls, client_tls = contexts()
    with trio.fail_after(HANG_S):
        async with world() as there, tls_front(there.context.target.port, server_tls) as port:
            context = Context(target=target("localhost", port, "https"), tls=client_tls)
            findings = [await stage.check(context) for stage in STAGES[:4]]
    assert [str(finding.verdict) for finding in findings[:3]] == ["pass", "skip", "pass"]
    assert findings[3].facts["ending"] == "completed"
    assert context.found["gateway_clock"] is not None


async def test_a_sound_gateway_with_its_local_recognizer() -> None:
    """Real processes, real speech, real words."""
    pytest.importorskip("pocketsphinx", reason="the local recognizer is not installed")
    local = Settings(auth_mode=AuthMode.OFF, recognizer=RecognizerKind.LOCAL, default_engine="16k_en")
    async with gateway(RECOGNIZER="local") as (_, url):
        context = Context(target=target(port=int(url.rsplit(":", 1)[1])), settings=local)
        findings = {stage.name: await stage.check(context) for stage in STAGES}
    assert {name: str(finding.verdict) for name, finding in findings.items() if name != "stream"} == {
        "locked": "pass",
        "recognizer": "skip",
        "clock": "pass",
        "credentials": "skip",
        "miniprogram": "skip",
    }
    spoken = findings["stream"]
    # A busy machine may be slow, and nothing else may be wrong.
    assert {*spoken.causes} <= {"first_words_slow", "finalization_slow", "this_machine_late"}, spoken
    assert spoken.facts["words_as_expected"] is True
    assert spoken.facts["sent_bytes"] == spoken.facts["relayed_bytes"]


async def test_of_a_body_without_end_the_beginning_is_read() -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + bytes(100_000)  # and no more comes
    async with server(lambda head: page if head else b"") as port:
        answer = await reaching.get(Context(target=target("127.0.0.1", port)), "/ready")
    assert answer is not None
    assert len(answer.text) == MAX_BODY_BYTES
