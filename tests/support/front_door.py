"""Skips for tests that need the servers of the edge simulation, as that looks for them."""

import pytest

from ops.edge.programs import EdgeError, program_path


def _is_missing(name: str) -> bool:
    try:
        program_path(name)
    except EdgeError:
        return True
    return False


needs_nginx = pytest.mark.skipif(_is_missing("nginx"), reason="nginx is not installed")
needs_haproxy = pytest.mark.skipif(_is_missing("haproxy"), reason="haproxy is not installed")
