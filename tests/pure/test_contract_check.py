"""The check of everything that the service says can fail."""

from typing import Any

import msgspec
import pytest

from ops.asyncapi_examples import EXAMPLES, Example
from ops.asyncapi_schemas import ECHO_MESSAGES, tag_of
from service.stream import protocol
from service.stream.protocol import SERVER_MESSAGES, ServerMessage
from tests.support import contract_check
from tests.support.contract_check import ContractBrokenError, Notes

SAID = [example for example in EXAMPLES if isinstance(example.message, ServerMessage)]
OPTIONAL = {"resume", "resumedFrom", "settledMs", "fromMs", "toMs"}
NULLABLE = {"id", "logId", "retryAfterMs", "t"}


def test_all_that_is_said_has_a_check() -> None:
    assert set(contract_check.validators()) == {tag_of(kind) for kind in (*SERVER_MESSAGES, *ECHO_MESSAGES)}


def test_a_wrong_message_fails_where_it_is_sent_and_at_the_end_of_the_test(contract: Notes) -> None:
    before = contract.seen
    with pytest.raises(ContractBrokenError, match=r"^data\.reason must be one of \[.*\]: \{"):
        protocol.GoAway(1000, "lunch").encode()
    (complaint,) = contract.take_complaints()  # what is left of them fails the test
    assert complaint.endswith('{"type":"goaway","timeLeftMs":1000,"reason":"lunch"}')
    assert not contract.take_complaints()
    assert contract.seen == before


def test_a_wrong_message_that_a_phone_hears_fails(contract: Notes) -> None:
    """Gateways that are not started by `gateway` are not checked inside: there the phones look at what they hear."""
    with pytest.raises(ContractBrokenError):
        contract_check.check('{"type":"pong"}', counts=False)
    assert len(contract.take_complaints()) == 1


@pytest.mark.parametrize("text", ["", "x", "[]", "null", "{}", '{"type":"new"}', '{"type":["pong"]}', '{"t":1}'])
def test_what_is_no_message_fails(text: str) -> None:
    with pytest.raises(ContractBrokenError, match=r"^not a message of the contract"):
        contract_check.type_of(text)


def wrong_versions(payload: dict[str, Any]) -> list[dict[str, Any]]:
    """Messages like a right one, with one thing wrong."""
    found = [{**payload, "unknown": 1}]
    for field, value in payload.items():
        rest = {name: other for name, other in payload.items() if name != field}
        found.append({**rest, field.upper(): value})
        if field not in OPTIONAL:
            found.append(rest)
        if field not in NULLABLE:
            found.append({**payload, field: None})
        if field != "t":
            found += [{**payload, field: other} for other in (1.5, {"x": 1}, [None])]
        if isinstance(value, int) and not isinstance(value, bool) and field not in NULLABLE:
            found += [{**payload, field: other} for other in (-1, str(value), True)]
    return found


@pytest.mark.parametrize("example", SAID, ids=lambda one: f"{one.payload['type']}-{one.name}")
def test_one_wrong_thing_is_enough(example: Example) -> None:
    payload = example.payload
    assert contract_check.type_of(msgspec.json.encode(payload).decode()) == payload["type"]
    for wrong in wrong_versions(payload):
        with pytest.raises(ContractBrokenError):
            contract_check.type_of(msgspec.json.encode(wrong).decode())


@pytest.mark.parametrize(
    ("name", "inside", "wrong"),
    [
        ("final", "wordList", [{"word": "go", "startMs": 0, "endMs": 1}]),
        ("final", "wordList", [{"word": "go", "startMs": 0, "endMs": 1, "stable": True, "x": 1}]),
        ("stopped", "audio", {"receivedMs": 0}),
        ("default", "hotwords", [{"word": "go", "weight": 12}]),
        ("default", "hotwords", [{"word": "to go", "weight": 1}]),
    ],
)
def test_what_stands_inside_is_looked_at(name: str, inside: str, wrong: object) -> None:
    (payload,) = (one.payload for one in SAID if one.name == name)
    with pytest.raises(ContractBrokenError, match=inside):
        contract_check.type_of(msgspec.json.encode({**payload, inside: wrong}).decode())
