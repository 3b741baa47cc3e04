"""A talk through network switches: the mini-program's library hears what it hears undisturbed.

`make prove` has a talk of 60 s through ten switches (PROVE_PHONE_SWITCHES), `make test` one of 12 s through three. The
moments, and how each connection dies, depend on PROVE_SEED. The phone is the stand-in of tests/node, the service real.
"""

import os

import pytest

from tests.miniprogram.node import needs_node, node_test

SWITCHES = int(os.environ.get("PROVE_PHONE_SWITCHES", "3"))
SEED = os.environ.get("PROVE_SEED", "1")
BETWEEN_S = 6 if "PROVE_PHONE_SWITCHES" in os.environ else 4


@needs_node
@pytest.mark.proof
def test_the_transcript_is_the_undisturbed_one() -> None:
    talk_s = BETWEEN_S * SWITCHES
    output = node_test(
        "gateway/switches.test.js",
        guard_s=60 + 4 * talk_s,
        PHONE_TALK_S=str(talk_s),
        PHONE_SWITCHES=str(SWITCHES),
        PHONE_SEED=SEED,
    )
    assert f"{SWITCHES} switches in {talk_s} s" in output
