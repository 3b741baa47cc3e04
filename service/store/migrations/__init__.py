"""Alembic's scripts: see docs/history.md for how they are run."""
