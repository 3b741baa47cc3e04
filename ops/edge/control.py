"""How a running `edge up` is told what to do: one line of JSON each way, on a Unix socket that is its user's alone.

The state file says where the socket is. It is written when everything runs and removed at the end; one that was left
behind by a process that was killed is known by its socket, where nobody answers.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import trio

from ops.edge.programs import EdgeError

Answer = dict[str, Any]


class NotRunning(EdgeError):
    """There is no state file."""


_LINE_BYTES: Final = 65536
_REQUEST_S: Final = 5.0
_SEND_S: Final = 5.0
_DIAL_S: Final = 5.0


def default_state_file() -> Path:
    """One for each user: in the session's own directory where there is one."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "voice-edge.json"
    return Path(tempfile.gettempdir()) / f"voice-edge-{os.getuid()}.json"


@contextlib.asynccontextmanager
async def controlled(
    state_file: Path, state: dict[str, Any], act: Callable[[str], Awaitable[Answer]]
) -> AsyncGenerator[None, None]:
    """While the `async with` lasts, `tell` reaches `act` through this state file.

    `act` gets the word and returns what is answered; an EdgeError that it raises is answered as the reason. An action
    that has begun goes on when whoever asked has left; it is cancelled at the end of the `async with`. Raises EdgeError
    when another process answers at this state file, or it cannot be written.
    """
    if (other := await _live(state_file)) is not None:
        raise EdgeError(f"another one runs already (process {other}); end it, or choose another --state")
    with tempfile.TemporaryDirectory(prefix="voice-edge-") as name:  # mode 0700: nobody else comes near the socket
        path = Path(name) / "control.sock"
        listener_socket = trio.socket.socket(trio.socket.AF_UNIX)
        with contextlib.closing(listener_socket):
            await listener_socket.bind(str(path))
            listener_socket.listen()
            _write(state_file, {**state, "pid": os.getpid(), "socket": str(path)})
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_serve, trio.SocketListener(listener_socket), act)
                    yield
                    nursery.cancel_scope.cancel()
            finally:
                _remove(state_file, path)


async def tell(state_file: Path, word: str, limit_s: float) -> Answer:
    """Ask a running `edge up` for something, and return its answer.

    Raises EdgeError when none runs, when it answers with a reason, and after `limit_s`.
    """
    state = read_state(state_file)
    try:
        with trio.fail_after(limit_s):
            async with await _dial(state) as stream:
                await stream.send_all(json.dumps({"do": word}).encode() + b"\n")
                answer = await _line(stream)
    except OSError as error:
        raise EdgeError(f"`edge up` no longer runs (state file {state_file}): {error.strerror or error}") from error
    except (trio.BrokenResourceError, EOFError) as error:
        raise EdgeError("`edge up` ended before it had answered") from error
    except trio.TooSlowError as error:
        raise EdgeError(f"`edge up` did not answer within {limit_s:g} s") from error
    if not answer.get("ok"):
        raise EdgeError(str(answer.get("reason", "no reason was given")))
    return answer


def read_state(state_file: Path) -> dict[str, Any]:
    """What a running `edge up` has written. Raises EdgeError when there is none, or it is somebody else's."""
    try:
        if state_file.stat().st_uid != os.getuid():
            raise EdgeError(f"{state_file} belongs to another user; choose another --state")
        state = json.loads(state_file.read_text())
    except FileNotFoundError:
        raise NotRunning(f"no edge runs (no {state_file}); start one with `python -m ops edge up`") from None
    except (OSError, ValueError) as error:
        raise EdgeError(f"{state_file} cannot be read: {error}") from error
    if not isinstance(state, dict) or not isinstance(state.get("socket"), str):
        raise EdgeError(f"{state_file} is not a state file of `edge up`")
    return state


async def _serve(listener: trio.SocketListener, act: Callable[[str], Awaitable[Answer]]) -> None:
    async def converse(stream: trio.SocketStream) -> None:
        with contextlib.suppress(trio.BrokenResourceError, EOFError):
            async with stream:
                with trio.move_on_after(_REQUEST_S) as limit:
                    request = await _line(stream)
                if limit.cancelled_caught:
                    return
                try:
                    answer = {"ok": True, **await act(str(request.get("do")))}
                except EdgeError as error:
                    answer = {"ok": False, "reason": str(error)}
                with trio.move_on_after(_SEND_S):
                    await stream.send_all(json.dumps(answer).encode() + b"\n")

    await trio.serve_listeners(converse, [listener])


async def _line(stream: trio.SocketStream) -> Answer:
    """One line, which must be a JSON object. Raises EOFError for anything else."""
    line = bytearray()
    while not line.endswith(b"\n"):
        data = await stream.receive_some()
        line += data
        if not data or len(line) > _LINE_BYTES:
            raise EOFError
    try:
        message = json.loads(line)
    except ValueError:
        raise EOFError from None
    if not isinstance(message, dict):
        raise EOFError
    return message


async def _dial(state: dict[str, Any]) -> trio.SocketStream:
    with trio.fail_after(_DIAL_S):
        return await trio.open_unix_socket(state["socket"])


async def _live(state_file: Path) -> int | None:
    """The process that answers at a state file, if any; a file that is no state file is not ours to overwrite."""
    try:
        state = read_state(state_file)
    except NotRunning:
        return None
    with contextlib.suppress(OSError, trio.TooSlowError):
        async with await _dial(state):
            return int(state.get("pid", 0))
    return None


def _remove(state_file: Path, path: Path) -> None:
    """Remove it, unless another process that was started at the same moment has put its own in its place."""
    with contextlib.suppress(OSError, EdgeError):
        if read_state(state_file)["socket"] == str(path):
            state_file.unlink()


def _write(state_file: Path, state: dict[str, Any]) -> None:
    """Write it whole, for this user alone, in place of an old one."""
    try:
        handle, name = tempfile.mkstemp(prefix=f"{state_file.name}.", dir=state_file.parent)  # mode 0600
        with os.fdopen(handle, "w") as file:
            json.dump(state, file)
        Path(name).replace(state_file)
    except OSError as error:
        raise EdgeError(f"{state_file} cannot be written: {error.strerror or error}") from error
