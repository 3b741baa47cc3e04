"""The envelope of every HTTP answer. Pure."""

import time

import msgspec


def envelope(code: int, message: str, data: object = None) -> bytes:
    """`{code, message, data, timestamp}` as JSON: `code` 0 is success, else the HTTP status; the time is in ms."""
    return msgspec.json.encode(
        {"code": code, "message": message, "data": data, "timestamp": now_ms()},
    )


def now_ms() -> int:
    """The wall clock in milliseconds since 1970: for clients to read, never to compute with."""
    return time.time_ns() // 1_000_000
