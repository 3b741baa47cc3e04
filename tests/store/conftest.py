"""An engine on a database of its own with the tables of today, for each kind of server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.store.engine import open_engine
from service.store.migrate import migrate
from tests.support.databases import KINDS, database


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database."""
    with database(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """A database with tables."""
    engine = open_engine(url)
    migrate(engine)
    yield engine
    engine.dispose()
