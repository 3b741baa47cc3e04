"""What a gateway in another process holds, and what it has counted: by its own metrics, and by the kernel's word."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

SETTLE_S: Final = 60.0
"""A guard. The last connections take 5 s at most (keep-alive, lingering, the rest of an upload)."""
_LOOK_EVERY_S: Final = 0.25
_LOOKS: Final = 8
_LENGTH: Final = re.compile(rb"(?is)\r\ncontent-length: (\d+)\r\n.*?(?<=\r\n)\r\n")
_SAMPLE: Final = re.compile(r"^([a-z_]+(?:\{[^}]*\})?) (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Level:
    """What is held now. The connection that asks is part of it, each time."""

    tasks: int
    connections: int
    streams: int
    descriptors: int

    def is_within(self, bound: "Level") -> bool:
        """Whether nothing is held over `bound`."""
        return (
            self.tasks <= bound.tasks
            and self.connections <= bound.connections
            and self.streams <= bound.streams
            and self.descriptors <= bound.descriptors
        )


class Watch:
    """One gateway process."""

    def __init__(self, pid: int, port: int) -> None:
        self._pid = pid
        self._port = port

    async def samples(self) -> Mapping[str, float]:
        """Every metric by its name and labels, as written in the exposition."""
        stream = await trio.open_tcp_stream("127.0.0.1", self._port)
        async with stream:
            await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            answer = b""
            while not (length := _LENGTH.search(answer)) or len(answer) < length.end() + int(length[1]):
                data = await stream.receive_some()
                assert data, answer
                answer += data
        assert answer.startswith(b"HTTP/1.1 200 "), answer[:100]
        return {name: float(value) for name, value in _SAMPLE.findall(answer.decode())}

    async def level(self) -> Level:
        """What is held now."""
        samples = await self.samples()
        return Level(
            tasks=int(samples["voice_tasks"]),
            connections=int(samples["voice_connections_active"]),
            streams=int(samples["voice_streams_active"]),
            descriptors=len(os.listdir(f"/proc/{self._pid}/fd")),  # noqa: PTH208 - only the number counts
        )

    async def settled(self, bound: Level) -> Level:
        """The level, once nothing is held over `bound`. The test fails when that does not come."""
        level = await self.level()
        with trio.move_on_after(SETTLE_S):
            while not level.is_within(bound):
                await trio.sleep(_LOOK_EVERY_S)
                level = await self.level()
        assert level.is_within(bound), f"{level} does not return to {bound}"
        return level

    async def usual_level(self) -> Level:
        """The level while nothing new happens, by several looks: what a connection that just ended still holds for a
        moment does not count. Tasks are counted every quarter of a second, with those that come and go."""
        levels = []
        for _ in range(_LOOKS):
            await trio.sleep(_LOOK_EVERY_S)
            levels.append(await self.level())
        return Level(
            tasks=max(level.tasks for level in levels),
            connections=min(level.connections for level in levels),
            streams=min(level.streams for level in levels),
            descriptors=min(level.descriptors for level in levels),
        )

    def resident_kib(self) -> int:
        """Memory of the process that is in RAM."""
        status = Path(f"/proc/{self._pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        assert found is not None
        return int(found[1])
