"""One stream through everything that the service says: each message is held against docs/asyncapi.yaml."""

import trio

from ops.asyncapi_schemas import tag_of
from service.stream.protocol import SERVER_MESSAGES
from tests.support.contract_check import Notes
from tests.support.stream_world import World, words

STREAM_TYPES = set(map(tag_of, SERVER_MESSAGES))


async def test_one_stream_says_every_message_and_each_is_checked(
    nursery: trio.Nursery, autojump_clock: object, contract: Notes
) -> None:
    world = World(nursery)
    before = contract.seen
    async with world.phone(wordInfo=1, hotwords=[{"word": "w1", "weight": 3}]) as phone:
        phone.say(type="ping", t={"at": 1})
        phone.say(type="nonsense")
        await phone.talk(words(1, 2))
        phone.say(type="finalize", id="field-1")
        await phone.hear("finalized")
        world.deps.lifecycle.drain(trio.current_time() + 12)
        await phone.hear("goaway")
        phone.say(type="stop")
        await phone.hear("stopped")
    assert {message["type"] for message in phone.seen} == STREAM_TYPES
    assert contract.seen - before == {type_: len(phone.all(type_)) for type_ in STREAM_TYPES}
