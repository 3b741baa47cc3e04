"""`loadtest recognize`: upload one recording, print its words and how long that took."""

import argparse
import http.client
import json
import ssl
import sys
import time
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import trio

from loadtest.printing import printable
from loadtest.urls import UrlError, recognize_url

DEFAULT_URL: Final = "http://127.0.0.1:8000"
MAX_FILE_BYTES: Final = 64 * 1024 * 1024  # more than any gateway takes, so that its refusal can be tried
ANSWER_S: Final = 60.0  # the platform's own limit for a request

OK: Final = 0
FAILED: Final = 1
UNREACHABLE: Final = 2


@dataclass
class Answer:
    """What became of one upload. Times count from the first byte sent."""

    exit_code: int = UNREACHABLE
    problem: str | None = None
    connect_s: float | None = None
    upload_s: float | None = None
    answer_s: float | None = None
    status: int | None = None
    uploaded_bytes: int = 0
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The words; empty where there are none."""
        return str(self.data.get("text", ""))


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `recognize` to the commands."""
    command = commands.add_parser(
        "recognize",
        help="upload one recording and print its words",
        description="Upload one recording of any format, print the text alone on a line, then timings. "
        "Exit code: 0 ok, 1 refused or failed, 2 nothing could be tried, 130 interrupted.",
    )
    command.add_argument("file", type=Path, metavar="FILE")
    command.add_argument("--url", default=DEFAULT_URL, help="base (http://host:port) or full URL [%(default)s]")
    command.add_argument("--token", help="token of the service, where it asks for one")
    command.add_argument("--engine", help="recognizer engine, such as 16k_zh [the service's default]")
    command.add_argument("--json", action="store_true", help="print the answer as JSON, and nothing else")


async def run_recognize(arguments: argparse.Namespace, token: str | None) -> int:
    """The command. Returns the exit code; an interrupt leaves the upload behind."""
    try:
        url = recognize_url(arguments.url)
        with arguments.file.open("rb") as file:
            audio = file.read(MAX_FILE_BYTES)
    except (UrlError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        print(f"loadtest: {printable(str(reason))}", file=sys.stderr)
        return UNREACHABLE
    fields = {"engineType": arguments.engine} if arguments.engine else {}
    answer = await trio.to_thread.run_sync(upload, url, audio, fields, token, abandon_on_cancel=True)
    if arguments.json:
        print(json.dumps(asdict(answer), ensure_ascii=False))
    elif answer.exit_code == OK:
        print(printable(answer.text))
        print("", *summary(answer), sep="\n")
    sys.stdout.flush()
    if answer.problem is not None:
        print(f"loadtest: {printable(answer.problem)}", file=sys.stderr)
    return answer.exit_code


def upload(url: str, audio: bytes, fields: dict[str, str], token: str | None) -> Answer:
    """Send one upload and wait for its answer. Blocks: for worker threads."""
    parts = urlsplit(url)
    boundary = uuid.uuid4().hex
    body = multipart(audio, fields, boundary)
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    answer = Answer(uploaded_bytes=len(audio))
    connection = _connection(parts.scheme, parts.netloc)
    began = time.monotonic()
    try:
        connection.connect()
        answer.connect_s = time.monotonic() - began
        began = time.monotonic()
        connection.request("POST", parts.path, body, headers)
        answer.upload_s = time.monotonic() - began
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException) as error:
        answer.problem = f"no answer from {parts.netloc}: {str(error) or type(error).__name__}"
        answer.exit_code = UNREACHABLE if answer.connect_s is None else FAILED
        return answer
    finally:
        connection.close()
    answer.answer_s = time.monotonic() - began
    answer.status = response.status
    _read(answer, content)
    return answer


def _connection(scheme: str, netloc: str) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(netloc, timeout=ANSWER_S, context=ssl.create_default_context())
    return http.client.HTTPConnection(netloc, timeout=ANSWER_S)


def _read(answer: Answer, content: bytes) -> None:
    """Take what the gateway says into the answer."""
    answer.exit_code = FAILED
    try:
        envelope = json.loads(content)
        answer.data = dict(envelope["data"] or {})
        if answer.status == http.HTTPStatus.OK and envelope["code"] == 0:
            answer.exit_code = OK
        else:
            named = f"{answer.data['error']}: " if "error" in answer.data else ""
            answer.problem = f"refused with {answer.status}: {named}{envelope['message']}"
    except (ValueError, KeyError, TypeError):
        answer.problem = f"answered with {answer.status}, and not as this service does"


def multipart(audio: bytes, fields: dict[str, str], boundary: str) -> bytes:
    """A form (RFC 7578) with the file in the field `audio`."""
    lines = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    lines.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="audio"; filename="recording"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return "".join(lines).encode() + audio + f"\r\n--{boundary}--\r\n".encode()


def summary(answer: Answer) -> list[str]:
    """The timings, a line for each figure that there is."""
    rows = [
        ("connect", answer.connect_s, "TCP and TLS"),
        ("upload", answer.upload_s, f"{answer.uploaded_bytes} bytes"),
        ("answer", answer.answer_s, "after the first byte sent"),
    ]
    lines = [f"{name:<14} {value_s * 1000:>6.0f} ms  {note}" for name, value_s, note in rows if value_s is not None]
    return [*lines, f"{'audio':<14} {answer.data.get('audioTime', 0):>6} ms  recognized"]
