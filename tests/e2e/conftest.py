"""One model on its whole way: digits, trained, published and served by real processes."""

from collections.abc import Iterator

import pytest

from tests.kit.models.digits import BIN, ServedDigits, train_digits
from tests.kit.server.kan_serve import serving


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDigits]:
    """Train digits by `kan-train`, serve it by `kan-serve`, on ports of its own."""
    folder = tmp_path_factory.mktemp("digits")
    trained = train_digits(folder)
    with serving(trained.models, log=folder / "log", program=[str(BIN / "kan-serve")]) as server:
        yield ServedDigits(trained.models, trained.run, server)
