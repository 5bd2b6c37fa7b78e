"""One suite for every front end: a kan-serve process, tested as its callers see it."""

from functools import partial

import pytest

from tests.kit.server.kan_serve import FRONTENDS, Start


@pytest.fixture(params=FRONTENDS, scope="module")
def frontend(request: pytest.FixtureRequest) -> str:
    """The front end under test; the tests of a file may share a server of it."""
    return str(request.param)


@pytest.fixture
def start(kan_serve: Start, frontend: str) -> Start:
    """Starts kan-serve on `models` with the front end under test; arguments are more flags."""
    return partial(kan_serve, "--frontend", frontend)
