"""Databases of a test's own, on servers that run: SQLite's file, PostgreSQL and MariaDB."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from service.store.records import Sentence, StreamRecord

SERVERS = {
    "postgresql": os.environ.get("TEST_POSTGRES_URL", "postgresql+psycopg://root@127.0.0.1:5432/test"),
    "mariadb": os.environ.get("TEST_MARIADB_URL", "mysql+pymysql://root@127.0.0.1:3306/test"),
}
KINDS = ("sqlite", *SERVERS)


@contextlib.contextmanager
def database(kind: str, directory: Path) -> Iterator[str]:
    """The URL of an empty database, which is gone afterwards. Skips the test where its server does not run."""
    if kind == "sqlite":
        yield f"sqlite+pysqlite:///{directory / 'voice.db'}"
        return
    name = f"voice_test_{uuid.uuid4().hex[:12]}"
    server = create_engine(SERVERS[kind], isolation_level="AUTOCOMMIT", pool_pre_ping=True)
    try:
        _run(server, f"CREATE DATABASE {name}")
    except SQLAlchemyError:
        pytest.skip(f"{kind} does not run: set TEST_{'POSTGRES' if kind == 'postgresql' else 'MARIADB'}_URL")
    try:
        yield make_url(SERVERS[kind]).set(database=name).render_as_string(hide_password=False)
    finally:
        _run(server, f"DROP DATABASE {name}" + (" WITH (FORCE)" if kind == "postgresql" else ""))
        server.dispose()


def _run(server: Engine, statement: str) -> None:
    with server.connect() as connection:
        connection.execute(text(statement))


def stream(id_: str, resumed_from: str | None = None, **fields: object) -> StreamRecord:
    """A stream with two sentences that tell where they are from; it begins when its `at` says, in ms."""
    at = int(str(fields.pop("at", 1_000)))
    first = int(str(fields.pop("first_index", 0)))
    said = tuple(Sentence(first + number, f"{id_}{number}", 100 * number, 100 * number + 90) for number in range(2))
    return StreamRecord(
        **{
            "id": id_,
            "user_id": "u1",
            "started_at_ms": at,
            "ended_at_ms": at + 500,
            "outcome": "completed",
            "engine": "16k_zh",
            "resumed_from": resumed_from,
            "first_index": first,
            "sentence_count": len(said),
            "audio_ms": 500,
            "audio_bytes": 16_000,
            "sentences": said,
            **fields,
        }  # type: ignore[arg-type]
    )
