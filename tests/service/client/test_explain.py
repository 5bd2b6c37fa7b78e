"""`explain` of both clients against a kan-serve in a process of its own."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from kan_api.v1 import manifest_pb2
from service.client import AsyncClient, Client, ClientError, Explanation, InvalidInput, NotFound, NotPublished
from tests.kit.models.attributions import REFERENCE, add_attribution, contributions, scores
from tests.kit.models.ground import with_ground
from tests.kit.models.repository import WriteModel, write_version
from tests.kit.server.kan_serve import KanServe, Start, serving

ROWS = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
RECORDS = [{f"x{place}": float(value) for place, value in enumerate(row)} for row in ROWS]


def words(manifest: manifest_pb2.ModelManifest) -> None:
    """Turn four numbers into a number that may be missing and a word of three."""
    del manifest.columns[:], manifest.features[:]
    manifest.columns.add(name="weight")
    manifest.columns.add(name="colour", categories=["red", "blue", ""], unseen_is_other=True)
    manifest.features.add(name="weight", column="weight", high=1.0)
    for word in ("red", "blue", ""):
        manifest.features.add(name=f"colour={word}", column="colour", category=word, high=1.0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """A kan-serve of models that explain, of paint, which takes words, and of old, which does not explain."""
    folder = tmp_path_factory.mktemp("shared")
    models = folder / "models"
    add_attribution(write_version(models, "affine", version=2))
    add_attribution(write_version(models, "classifier"))
    add_attribution(write_version(models, "imputed"))
    add_attribution(write_version(models, "classifier", name="paint", change=words), kind="classifier")
    add_attribution(write_version(models, "affine", name="wide", change=with_ground()), kind="affine")
    write_version(models, "affine", name="old")
    with serving(models, "--max-message-bytes", str(2**17), log=folder / "log") as started:
        yield started


def _check(found: Explanation, kind: str, rows: NDArray[np.float32], reference: Any = None) -> None:
    np.testing.assert_allclose(found.contributions, contributions(kind, rows, reference), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.explained, scores(kind, rows), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.contributions.sum(axis=2), found.explained - found.baseline, atol=1e-5)
    assert found.contributions.dtype == np.float32


def test_numbers_are_explained(server: KanServe) -> None:
    """Names, kinds and numpy's numbers: a matrix, one flat row, rows by column name, a DataFrame."""
    with Client(server.grpc) as client:
        found = client.explain("classifier", ROWS)
        _check(found, "classifier", ROWS)
        assert (found.model, found.version, found.explains_scores) == ("classifier", 1, True)
        assert found.columns == ("x0", "x1", "x2", "x3")
        assert found.outputs == ("red", "green", "blue")
        assert found.baseline.shape == (1, 3)
        assert found.compute_seconds > 0
        _check(client.explain("affine", [1, 2, 3, 4]), "affine", np.array([[1, 2, 3, 4]], np.float32))
        _check(client.explain("affine", RECORDS, version=2), "affine", ROWS)
        _check(client.explain("affine", pd.DataFrame(RECORDS)), "affine", ROWS)
        _check(client.explain("affine", RECORDS[0]), "affine", ROWS[:1])


def test_references(server: KanServe) -> None:
    """One row for all or one a row, in each form that rows have; NaN where the model imputes."""
    with Client(server.grpc) as client:
        for reference in (ROWS[1], ROWS[1:2], RECORDS[1], [RECORDS[1]]):
            found = client.explain("affine", ROWS, reference=reference)
            _check(found, "affine", ROWS, ROWS[1:2])
            assert found.baseline.shape == (1, 1)
        own = client.explain("affine", RECORDS, reference=RECORDS[::-1])
        _check(own, "affine", ROWS, ROWS[::-1])
        assert own.baseline.shape == (5, 1)
        gap = np.array([[np.nan, 3]], np.float32)
        _check(client.explain("imputed", ROWS[:, :2], reference=gap), "imputed", ROWS[:, :2], gap)


def test_words_are_one_column(server: KanServe) -> None:
    """The features of a column of words are one contribution; a word that the model does not know is counted."""
    with Client(server.grpc) as client:
        found = client.explain("paint", [{"weight": 2, "colour": "blue"}, {"weight": 1, "colour": "green"}])
        assert found.columns == ("weight", "colour")
        assert found.other_cells == 1
        encoded = np.array([[2, 0, 1, 0], [1, 0, 0, 0]], np.float32)
        right = contributions("classifier", encoded, REFERENCE)
        by_column = np.stack([right[:, :, 0], right[:, :, 1:].sum(axis=2)], axis=2)
        np.testing.assert_allclose(found.contributions, by_column, rtol=1e-5, atol=1e-6)


def test_ground_is_always_there(server: KanServe) -> None:
    """The unknown cells of all requests of a table, with the rows' places in it; without histograms none is known."""
    rows = np.zeros((6000, 4), np.float32)
    rows[[0, 5999], 3] = 500
    with Client(server.grpc, 60) as client:
        ground = client.explain("wide", rows).ground
        assert (ground.is_known, ground.unknown_rows, ground.unknown_cells) == (True, 2, 2)
        assert [(cell.row, cell.column, cell.reason, cell.value) for cell in ground.cells] == [
            (row, "x3", "outside_range", 500) for row in (0, 5999)
        ]
        assert not client.explain("affine", ROWS).ground.is_known


def test_a_long_table_takes_several_requests(server: KanServe) -> None:
    """9,000 rows do not fit into one message: all come, in order, also with a reference for each."""
    rows = np.random.default_rng(1).normal(size=(9000, 4)).astype(np.float32)
    with Client(server.grpc, 60) as client:
        _check(client.explain("classifier", rows), "classifier", rows)
        _check(client.explain("affine", rows, reference=rows[::-1], bulk=True), "affine", rows, rows[::-1])


def test_mistakes_say_what_to_do(server: KanServe) -> None:
    """Each error has its class, its code and the words of what came and what was wanted."""
    mistakes: list[tuple[str, Any, Any, type[ClientError], str]] = [
        ("old", ROWS, None, NotPublished, "kan-train tune models/old/1"),
        ("absent", ROWS, None, NotFound, "absent"),
        ("affine", ROWS[:, :3], None, InvalidInput, "features has 3 columns"),
        ("affine", ROWS, ROWS[:, :3], InvalidInput, "reference has 3 columns"),
        ("affine", ROWS, ROWS[:2], InvalidInput, "reference has 2 rows; wanted 1, or 5"),
        ("affine", ROWS, np.full(4, np.nan), InvalidInput, "reference: row 0, column 0"),
        ("affine", ROWS, [{"x0": 1}], InvalidInput, 'reference: rows[0] lacks columns "x1", "x2", "x3"'),
        ("affine", ROWS, "median", InvalidInput, "reference: wanted numbers"),
        ("affine", ["a"], None, InvalidInput, "wanted numbers"),
    ]
    with Client(server.grpc) as client:
        for model, rows, reference, kind, message in mistakes:
            with pytest.raises(kind) as caught:
                client.explain(model, rows, reference=reference)
            assert message in str(caught.value)
        with pytest.raises(NotPublished) as missing:
            client.explain("old", ROWS)
        assert missing.value.code is grpc.StatusCode.FAILED_PRECONDITION


def test_the_client_for_asyncio_explains_alike(server: KanServe) -> None:
    """Twenty calls at once, each with its own rows and reference."""

    async def check() -> None:
        async with AsyncClient(server.grpc) as client:
            rows = np.random.default_rng(3).normal(size=(20, 3, 4)).astype(np.float32)
            found = await asyncio.gather(*(client.explain("affine", each, reference=each[:1]) for each in rows))
            for explanation, each in zip(found, rows, strict=True):
                _check(explanation, "affine", each, each[:1])
            with pytest.raises(NotPublished):
                await client.explain("old", ROWS)

    asyncio.run(check())


def test_a_version_that_takes_over_is_never_mixed_in(kan_serve: Start, write_model: WriteModel, models: Path) -> None:
    """A table that takes several requests is answered by the version that answered first."""
    add_attribution(write_model("affine", 1))
    server = kan_serve("--max-message-bytes", str(2**16), "--poll-seconds", "0.05")
    rows = np.random.default_rng(5).normal(size=(20_000, 4)).astype(np.float32)
    with Client(server.grpc, 60) as client:
        client.explain("affine", rows[:1])
        folder = write_model("affine", 2, name=".two", change=lambda manifest: setattr(manifest, "name", "affine"))
        written = models / "affine" / ".2"
        folder.rename(written)
        add_attribution(written)
        written.rename(models / "affine" / "2")
        versions: list[int] = []
        while not versions or versions[-1] != 2:
            found = client.explain("affine", rows)
            _check(found, "affine", rows)
            versions.append(found.version)
        assert versions == sorted(versions)
