"""`loadtest sink` as a process: a phone speaks to it, and the real gateway relays to it."""

import os
import signal
from pathlib import Path

import httpx2
import pytest
import trio
import trustme

from loadtest.sink.command import GATEWAY, RECOGNIZER, caution
from tests.loadtest.sink_support import sink, sound
from tests.support.processes import ACCOUNT_SETTINGS, gateway, program
from tests.support.wire_phone import WirePhone, connected, unstarted

PCM_PER_WORD = sound(6400)  # 200 ms at 16 kHz


def words(first: int, last: int) -> str:
    """The words of the audio from one number to the one before another."""
    return " ".join(f"t{200 * number}" for number in range(first, last))


async def stopped(phone: WirePhone) -> dict[str, object]:
    """Ends the audio; what is said then, and the close."""
    await phone.say(type="stop")
    last = await phone.hear("stopped")
    assert (await phone.closed())[0] == 1000
    return last


async def test_a_phone_at_the_gateway() -> None:
    async with sink("--as", "gateway") as (_, url), connected(url, wordInfo=1) as phone:
        await phone.talk_at_once(PCM_PER_WORD * 12 + bytes(101))
        await phone.say(type="finalize", id=7)
        finalized = await phone.hear("finalized")
        assert (finalized["id"], finalized["audioMs"], finalized["sentences"]) == (7, 2403, 2)
        await phone.talk_at_once(PCM_PER_WORD)
        await phone.say(type="ping", t=1)
        await phone.hear("pong")
        last = await stopped(phone)
        assert (last["text"], last["sentences"]) == (words(0, 14), 3)  # the last word has begun
        assert last["audio"] == {
            "receivedMs": 2603,
            "relayedMs": 2603,
            "recognizedMs": 2603,
            "droppedMs": 0,
            "receivedBytes": 13 * 6400 + 101,
            "relayedBytes": 13 * 6400 + 100,
            "droppedBytes": 1,
        }
        partials = [message for message in phone.seen if message["type"] == "result" and not message["isFinal"]]
        assert len(partials) == 12  # the tenth word of a sentence settles it


async def test_the_gateway_waits_with_finals_as_it_was_told() -> None:
    async with sink("--as", "gateway", "--final-delay-ms", "1000") as (_, url), connected(url) as phone:
        await phone.talk_at_once(PCM_PER_WORD)
        began_s = trio.current_time()
        await phone.say(type="stop")
        await phone.talk_at_once(PCM_PER_WORD)
        await phone.say(type="ping")
        await phone.hear("pong")
        assert "stopped" not in {message["type"] for message in phone.seen}
        last = await phone.hear("stopped")
        assert trio.current_time() - began_s >= 1.0
        assert (last["audio"]["relayedBytes"], last["audio"]["droppedBytes"]) == (6400, 6400)
        assert await phone.closed() == (1000, "completed")


async def test_a_phone_that_is_refused_or_leaves() -> None:
    async with sink("--as", "gateway") as (_, url):
        async with unstarted(url) as phone:
            await phone.say(type="start", voiceFormat="mp3")
            assert (await phone.hear("error"))["code"] == "unsupported_audio"
            assert await phone.closed() == (4415, "unsupported_audio")
        async with connected(url) as phone:
            await phone.say(type="cancel")
            assert await phone.closed() == (1000, "canceled")
        async with connected(url):
            pass
        async with connected(url) as phone:
            await phone.talk_at_once(PCM_PER_WORD)
            assert (await stopped(phone))["text"] == "t0"


@pytest.mark.parametrize("engine", ["16k_zh", "8k_zh"])
async def test_the_real_gateway_relays_to_the_recognizer(engine: str) -> None:
    async with (
        sink("--as", "recognizer") as (_, recognizer_url),
        gateway(TENCENT_ASR_URL=recognizer_url, **ACCOUNT_SETTINGS) as (_, url),
        connected(url, engineType=engine, wordInfo=1) as phone,
    ):
        word = PCM_PER_WORD if engine == "16k_zh" else PCM_PER_WORD[:3200]
        await phone.talk_at_once(word * 4)
        await phone.say(type="finalize", id="half")
        finalized = await phone.hear("finalized")
        assert (finalized["id"], finalized["audioMs"], finalized["sentences"]) == ("half", 800, 1)
        await phone.talk_at_once(word * 12 + bytes(3))
        last = await stopped(phone)
        # `finalize` ends a recognizer connection: the next one counts its audio from 0.
        assert last["text"] == f"{words(0, 4)} {words(0, 12)}"
        assert last["sentences"] == 3
        account = last["audio"]
        assert isinstance(account, dict)
        assert account["receivedBytes"] == 16 * len(word) + 3 == account["relayedBytes"] + account["droppedBytes"]
        assert account["droppedBytes"] == 1
        assert account["recognizedMs"] == 3200
        finals = [message for message in phone.seen if message["type"] == "result" and message["isFinal"]]
        assert [(final["startMs"], final["endMs"]) for final in finals] == [(0, 800), (800, 2800), (2800, 3200)]
        assert all(len(final["wordList"]) == len(final["text"].split()) for final in finals)


async def test_the_recognizer_refuses_mp3_and_the_gateway_says_so() -> None:
    async with (
        sink() as (_, recognizer_url),
        gateway(TENCENT_ASR_URL=recognizer_url, **ACCOUNT_SETTINGS) as (_, url),
        unstarted(url) as phone,
    ):
        await phone.say(type="start", voiceFormat="mp3")
        assert (await phone.hear("error"))["code"] == "bad_start"


async def test_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key, root = (str(tmp_path / name) for name in ("cert.pem", "key.pem", "ca.pem"))
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(root)
    async with sink("--tls", certificate, key) as (_, recognizer_url):
        assert recognizer_url.startswith("wss://127.0.0.1:")
        settings = {"TENCENT_ASR_URL": recognizer_url, "SSL_CERT_FILE": root, **ACCOUNT_SETTINGS}
        async with gateway(**settings) as (_, url), connected(url) as phone:
            await phone.talk_at_once(PCM_PER_WORD * 3)
            assert (await stopped(phone))["text"] == words(0, 3)


async def test_pages() -> None:
    for role in (GATEWAY, RECOGNIZER):
        async with sink("--as", role) as (_, url), httpx2.AsyncClient(base_url=url.replace("ws", "http", 1)) as client:
            health = await client.get("/health")
            assert (health.status_code, health.json()["code"]) == (200, 0)
            metrics = (await client.get("/metrics")).text
            names = {line.split()[0] for line in metrics.splitlines() if not line.startswith("#")}
            assert {"process_cpu_seconds_total", "process_resident_memory_bytes", "voice_streams_active"} <= names
            assert int((await client.get("/server_time")).text) > 1_700_000_000
            assert (await client.get("/elsewhere")).status_code == 404


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_with_0(number: signal.Signals) -> None:
    async with sink("--as", "gateway") as (running, url), connected(url) as phone:
        os.kill(running.process.pid, number)
        assert (await phone.closed())[0] == 1001
        assert await running.process.wait() == 0
    assert running.errors == b"loadtest: the sink as a gateway: tokens are not checked\n"


async def test_what_it_cannot_serve_on() -> None:
    async with sink() as (_, url):
        for options in (["--port", url.rsplit(":", 1)[1]], ["--tls", "/nothing.pem", "/nothing.key"]):
            async with program("loadtest", "sink", *options) as second:
                assert await second.process.wait() == 2
                while b"\n" not in second.errors:  # noqa: ASYNC110 - the guard of `program` ends it
                    await trio.sleep(0.01)
                assert second.errors.startswith(b"loadtest: the sink cannot serve: ")


def test_cautions() -> None:
    assert caution(RECOGNIZER, "127.0.0.1") == "signatures are not checked"
    assert caution(GATEWAY, "::1") == "tokens are not checked"
    assert "anybody who reaches it is served" in caution(RECOGNIZER, "0.0.0.0")  # noqa: S104
    assert "anybody" in caution(RECOGNIZER, "gateway.example")
    assert "anybody" not in caution(RECOGNIZER, "localhost")
