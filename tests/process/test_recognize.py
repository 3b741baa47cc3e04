"""Uploads through the real programs: the gateway, its local recognizer, and the load tester's command."""

import json

import pytest

from tests.support.coded_files import SAMPLES
from tests.support.processes import gateway, program

pytest.importorskip("pocketsphinx")


async def test_an_upload_to_the_embedded_recognizer() -> None:
    async with gateway(RECOGNIZER="local") as (service, url):
        sample = str(SAMPLES / "goforward.wav")
        async with program("loadtest", "recognize", sample, "--url", url) as client:
            assert await client.first_line() == "go forward ten meters"
            assert await client.process.wait() == 0
        async with program("loadtest", "recognize", sample, "--url", url, "--engine", "16k_zh", "--json") as client:
            told = json.loads(await client.first_line())
            assert (told["status"], told["data"]["error"]) == (400, "engine_not_supported")
            assert await client.process.wait() == 1
        lines = service.events("sentence")
        assert [line["outcome"] for line in lines] == ["completed", "engine_not_supported"]
        assert "forward" not in service.errors.decode()
