"""What each kind of phone does with a connection, in the verbs of a conversation; `scenario.Behavior` names them.

The talks of phones that are owed a transcript can be had again on another connection: they go on where the call is.
"""

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
            return (partial(lose_connection, turn=turn), talk)
        case Behavior.HANG_UP:
            return (partial(hang_up, turn=turn),)
        case Behavior.VANISH:
            return (partial(vanish, turn=turn),)
        case Behavior.NONSENSE:
            return (partial(talk_nonsense, seed=planned.seed),)


def turn_of(turn_at: float, frame_count: int) -> int:
    """Before which frame the phone acts: never before the first."""
    return max(1, min(frame_count - 1, round(turn_at * frame_count)))


async def begin(conversation: Conversation, end: int) -> int:
    """`welcome`, `start`, `ready`: of the call, or of a stream that goes on with it from the last settled position.

    Meanwhile the person has not stopped talking: what was said by now, but nothing from frame `end` on, goes at once.
    Where the service offers it, the stream is resumed. Returns the number of the first frame that is still to be said.
    """
    notes = conversation.notes
    await conversation.hear_welcome()
    if notes.clock is None:
        await conversation.start()
        return 0
    position_s, fields = notes.settled_s, {}
    if conversation.welcome.resume:
        settled = {"sentences": notes.next_index, "settledMs": round(position_s * 1000)}
        fields = {"resume": {"streamId": notes.record.stream_id, **settled}}
    notes.goes_on(resumed=bool(fields))
    await conversation.start(**fields)
    return await conversation.say_again(position_s, end)


async def talk(conversation: Conversation) -> None:
    """All of it, or what is left of it, then `stop`."""
    number = await begin(conversation, conversation.frame_count)
    await conversation.say(number, conversation.frame_count)
    await conversation.stop()


async def talk_with_pause(conversation: Conversation, turn: int) -> None:
    """Silent in the middle."""
    await _talk_around(conversation, turn, conversation.pause, conversation.phone.pause_s)


async def talk_with_freeze(conversation: Conversation, turn: int) -> None:
    """Suspended in the middle."""
    await _talk_around(conversation, turn, conversation.freeze, conversation.phone.freeze_s)


async def _talk_around(
    conversation: Conversation, turn: int, fall_silent: Callable[[int, float], Awaitable[None]], length_s: float
) -> None:
    number = await begin(conversation, _end_before(turn, conversation))
    if number <= turn:
        await conversation.say(number, turn)
        await fall_silent(turn, length_s)
    await conversation.say(max(number, turn), conversation.frame_count)
    await conversation.stop()


def _end_before(turn: int, conversation: Conversation) -> int:
    """What can have been said by now: nothing after a pause that is still to come."""
    clock = conversation.notes.clock
    return turn if clock is None or not clock.has_paused else conversation.frame_count


async def talk_and_read_slowly(conversation: Conversation) -> None:
    """Reads far behind while it talks."""
    await conversation.greet()
    conversation.read_slowly(conversation.phone.slow_read_s)
    await conversation.say(0, conversation.frame_count)
    await conversation.stop()


async def lose_connection(conversation: Conversation, turn: int) -> None:
    """Speaks up to a point, and is cut off there."""
    number = await begin(conversation, turn)
    await conversation.say(number, turn)
    await conversation.cut_off()


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
