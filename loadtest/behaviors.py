"""What each kind of phone does with a connection, in the verbs of a conversation; `scenario.Behavior` names them."""

from collections.abc import Awaitable, Callable
from functools import partial

from loadtest.conversation import Conversation
from loadtest.nonsense import talk_nonsense
from loadtest.plan import PlannedCall
from loadtest.scenario import Behavior

Talk = Callable[[Conversation], Awaitable[None]]


def talks_of(planned: PlannedCall, frame_count: int) -> tuple[Talk, ...]:
    """What the phone does, connection by connection. Only a reconnector has a second one."""
    turn = turn_of(planned.turn_at, frame_count)
    match planned.behavior:
        case Behavior.TALKER:
            return (talk,)
        case Behavior.PAUSER:
            return (partial(talk_with_pause, turn=turn),)
        case Behavior.FROZEN:
            return (partial(talk_with_freeze, turn=turn),)
        case Behavior.SLOW_READER:
            return (talk_and_read_slowly,)
        case Behavior.RECONNECTOR:
            return (partial(lose_connection, turn=turn), talk_on)
        case Behavior.HANG_UP:
            return (partial(hang_up, turn=turn),)
        case Behavior.VANISH:
            return (partial(vanish, turn=turn),)
        case Behavior.NONSENSE:
            return (partial(talk_nonsense, seed=planned.seed),)


def turn_of(turn_at: float, frame_count: int) -> int:
    """Before which frame the phone acts: never before the first."""
    return max(1, min(frame_count - 1, round(turn_at * frame_count)))


async def talk(conversation: Conversation) -> None:
    """All of it, then `stop`."""
    await conversation.greet()
    await conversation.say(0, conversation.frame_count)
    await conversation.stop()


async def talk_with_pause(conversation: Conversation, turn: int) -> None:
    """Silent in the middle."""
    await conversation.greet()
    await conversation.say(0, turn)
    await conversation.pause(turn, conversation.phone.pause_s)
    await conversation.say(turn, conversation.frame_count)
    await conversation.stop()


async def talk_with_freeze(conversation: Conversation, turn: int) -> None:
    """Suspended in the middle."""
    await conversation.greet()
    await conversation.say(0, turn)
    await conversation.freeze(turn, conversation.phone.freeze_s)
    await conversation.say(turn, conversation.frame_count)
    await conversation.stop()


async def talk_and_read_slowly(conversation: Conversation) -> None:
    """Reads far behind while it talks."""
    await conversation.greet()
    conversation.read_slowly(conversation.phone.slow_read_s)
    await conversation.say(0, conversation.frame_count)
    await conversation.stop()


async def lose_connection(conversation: Conversation, turn: int) -> None:
    """Speaks up to a point, and is cut off there."""
    await conversation.greet()
    await conversation.say(0, turn)
    await conversation.cut_off()


async def talk_on(conversation: Conversation) -> None:
    """Speaks from the last settled position on; meanwhile the person has not stopped talking.

    What was said by now goes at once. Where the service offers it, the stream is resumed.
    """
    notes = conversation.notes
    await conversation.hear_welcome()
    position_s, fields = notes.settled_s, {}
    if conversation.welcome.resume:
        settled = {"sentences": notes.next_index, "settledMs": round(position_s * 1000)}
        fields = {"resume": {"streamId": notes.record.stream_id, **settled}}
    notes.goes_on(resumed=bool(fields))
    await conversation.start(**fields)
    number = await conversation.say_again(position_s)
    await conversation.say(number, conversation.frame_count)
    await conversation.stop()


async def hang_up(conversation: Conversation, turn: int) -> None:
    """Closes in mid-word."""
    await conversation.greet()
    await conversation.say(0, turn)
    await conversation.close_and_hear_the_answer()


async def vanish(conversation: Conversation, turn: int) -> None:
    """Is gone, and nobody told the service."""
    await conversation.greet()
    await conversation.say(0, turn)
    await conversation.vanish(conversation.phone.vanish_s)
