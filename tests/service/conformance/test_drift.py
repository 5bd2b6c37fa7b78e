"""Served rows and answers are counted by cell, by whatever protocol they came, and refused rows are not."""

import asyncio
from collections.abc import Iterator
from typing import Any

import grpc.aio
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.kit.callers.calls import failure_of
from tests.kit.callers.protocols import KanApi, OpenInference, Protocol
from tests.kit.models.graphs import KINDS
from tests.kit.models.repository import write_version
from tests.kit.models.training_rows import trained_on
from tests.kit.server.kan_serve import KanServe, serving

TRAINING = np.random.default_rng(0).normal(size=(800, 2))
ROWS = np.array([[np.nan, 0], [50, 0], [-50, 0.1], [0.2, np.nan]], np.float32)


def _write(models: Any, name: str, *, table: bool) -> None:
    answers = KINDS["imputed"].answer(TRAINING.astype(np.float32)).astype(np.float64)
    write_version(models, "imputed", name=name, change=trained_on(TRAINING, answers) if table else None)


@pytest.fixture(scope="module")
def server(frontend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """A kan-serve of three models that impute: two with the histograms of a table, one without a table."""
    folder = tmp_path_factory.mktemp("drift")
    for name in ("by_kan_api", "by_open_inference"):
        _write(folder / "models", name, table=True)
    _write(folder / "models", "imported", table=False)
    with serving(folder / "models", "--frontend", frontend, log=folder / "log") as started:
        yield started


async def _call(server: KanServe, protocol: Protocol, model: str, rows: NDArray[np.float32]) -> bytes:
    async with grpc.aio.insecure_channel(server.grpc) as channel:
        call: Any = channel.unary_unary(protocol.path)
        answer: bytes = await call(protocol.request(model, rows), timeout=60)
        return answer


@pytest.mark.parametrize("protocol", [KanApi, OpenInference])
def test_rows_are_counted_by_cell(server: KanServe, protocol: Protocol) -> None:
    """Gaps, rows below and above, and answers, in the calls of either protocol; a refused call counts nothing."""
    model = f"by_{protocol.name}"

    def count(cell: str, column: str = "x0") -> float:
        return server.sample("kan_model_column_rows_total", model=model, column=column, cell=cell)

    assert count("missing") == 0
    asyncio.run(_call(server, protocol, model, ROWS))
    assert [count(cell) for cell in ("missing", "above", "below")] == [1, 1, 1]
    assert count("missing", "x1") == 1
    infinite = np.array([[np.inf, 0]], np.float32)
    assert asyncio.run(failure_of(_call(server, protocol, model, infinite)))[0] == "INVALID_ARGUMENT"
    assert server.sample("kan_model_column_rows_total", model=model, column="x0") == 4
    assert server.sample("kan_model_answer_rows_total", model=model) == 4
    assert server.sample("kan_model_column_psi", model=model) == 0
    for seed in range(3):
        rows = np.random.default_rng(seed).normal((0.0, 2.0), size=(500, 2)).astype(np.float32)
        asyncio.run(_call(server, protocol, model, rows))
    assert server.sample("kan_model_column_psi", model=model, column="x0") < 0.1
    assert server.sample("kan_model_column_psi", model=model, column="x1") > 1
    assert server.sample("kan_model_answer_psi", model=model) > 0.1


def test_a_model_without_a_table_answers_and_has_no_series(server: KanServe) -> None:
    """Nothing is known of its training rows."""
    answer = asyncio.run(_call(server, KanApi, "imported", ROWS))
    np.testing.assert_allclose(KanApi.answer(answer)[2], KINDS["imputed"].answer(ROWS)[:, 0], rtol=1e-5)
    _, text = server.get("/metrics")
    assert [line for line in text.splitlines() if "kan_model_column" in line and 'model="imported"' in line] == []
