"""What the doctor is shown in tests: a real gateway, real front doors, and small servers that do one thing wrong."""

import argparse
import contextlib
import datetime
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ops.doctor import command, stages_network
from ops.doctor.finding import Finding
from ops.doctor.runner import examine
from ops.doctor.stage import Context

NETWORK_STAGES = (*stages_network.STAGES, *stages_network.LAST)
OLD_SERVICE = b'{"code":0,"message":"ok","data":{"status":"ok"},"timestamp":1}'
_HEAD_END = b"\r\n\r\n"


def context(*options: str, environ: Mapping[str, str] | None = None) -> Context:
    """What `python -m ops doctor` makes of options."""
    return command.context_of(options_of(*options), environ or {})


def options_of(*options: str) -> argparse.Namespace:
    """The parsed command line."""
    parser = argparse.ArgumentParser()
    command.add_command(parser.add_subparsers())
    return parser.parse_args(["doctor", *options])


async def network_findings(examined: Context, *only: str) -> dict[str, Finding]:
    """The findings of the network's half, by stage."""
    stages = command.chosen(NETWORK_STAGES, only=only or None, skip=())
    return {finding.stage: finding for finding in await examine(examined, stages, lambda finding: None)}


@contextlib.asynccontextmanager
async def server(answer: Callable[[bytes], bytes | None], tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that reads a request's head and sends what `answer` makes of it, or holds on to it for None; its port.

    With an empty head it is asked what to say before anything came.
    """

    async def serve(stream: trio.abc.Stream) -> None:
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            head = answer(b"") or b""
            if head:
                await stream.send_all(head)
            asked = b""
            while _HEAD_END not in asked:
                data = await stream.receive_some(65536)
                if not data:
                    return
                asked += data
            said = answer(asked)
            if said is None:
                await trio.sleep_forever()
            else:
                await stream.send_all(said)

    async with trio.open_nursery() as nursery:
        port = await nursery.start(_listen, serve, tls)
        yield port
        nursery.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def proxy(
    upstream: str, edit: Callable[[bytes], bytes | None] = lambda head: head, *, life_s: float = float("inf")
) -> AsyncIterator[str]:
    """A proxy that changes heads of requests, or swallows them (None), and ends upgraded connections after `life_s`."""
    host, _, behind_port = upstream.removeprefix("http://").partition(":")

    async def serve(stream: trio.SocketStream) -> None:
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            head = b""
            while _HEAD_END not in head:
                data = await stream.receive_some(65536)
                if not data:
                    return
                head += data
            edited = edit(head)
            if edited is None:
                await trio.sleep_forever()
                return
            async with await trio.open_tcp_stream(host, int(behind_port)) as behind:
                await behind.send_all(edited)
                with trio.move_on_after(life_s):
                    async with trio.open_nursery() as copying:
                        copying.start_soon(_copy, stream, behind, copying.cancel_scope)
                        copying.start_soon(_copy, behind, stream, copying.cancel_scope)

    async with trio.open_nursery() as nursery:
        port = await nursery.start(_listen, serve, None)
        yield f"http://127.0.0.1:{port}"
        nursery.cancel_scope.cancel()


async def _listen(
    serve: Callable[[Any], Awaitable[None]],
    tls: ssl.SSLContext | None,
    *,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves on a free port, which it tells, until cancelled."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    task_status.started(listener.socket.getsockname()[1])
    await trio.serve_listeners(serve, [listener if tls is None else trio.SSLListener(listener, tls)])


async def _copy(source: trio.SocketStream, sink: trio.SocketStream, over: trio.CancelScope) -> None:
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async for data in source:
            await sink.send_all(data)
    over.cancel()


def http(status: str, body: bytes, *headers: str) -> bytes:
    """An answer after which the connection is closed."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def is_upgrade(head: bytes) -> bool:
    """Whether a head asks for a WebSocket."""
    return b"upgrade: websocket" in head.lower()


class Names(trio.abc.HostnameResolver):
    """DNS, as the doctor sees it: every name has the address of this machine, late, or not at all."""

    def __init__(self, *, late_s: float = 0.0, exists: bool = True) -> None:
        self._late_s = late_s
        self._exists = exists

    async def getaddrinfo(  # type: ignore[override]  # the protocol's own types are wider than what is asked here
        self, host: bytes | str | None, port: bytes | str | int | None, *_: object, **__: object
    ) -> list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int]]]:
        await trio.sleep(self._late_s)
        self._late_s = 0.0  # as a resolver that remembers
        if not self._exists:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", int(port or 0)))]

    async def getnameinfo(self, sockaddr: object, flags: int) -> tuple[str, str]:
        raise NotImplementedError


@contextlib.contextmanager
def names(*, late_s: float = 0.0, exists: bool = True) -> Iterator[None]:
    """Has `Names` answer for DNS meanwhile."""
    before = trio.socket.set_custom_hostname_resolver(Names(late_s=late_s, exists=exists))
    try:
        yield
    finally:
        trio.socket.set_custom_hostname_resolver(before)


def self_signed(directory: Path, host: str) -> ssl.SSLContext:
    """A server's context with a certificate that nobody but itself has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = directory / "self-signed.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(pem)
    return made


def closed_port(held: Sequence[socket.socket]) -> int:
    """The port of a socket that was bound and does not listen."""
    held[0].bind(("127.0.0.1", 0))
    port: int = held[0].getsockname()[1]
    return port
