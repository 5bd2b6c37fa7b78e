"""The Python clients tell which cells of their rows lie on unknown ground."""

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from kan_api.v1 import prediction_pb2 as pb
from kan_api.v1.manifest_pb2 import TASK_REGRESSION, ModelManifest
from service.client import AsyncClient, Client, Ground, InvalidInput, Prediction, UnknownCell
from service.client.answers import join_answers
from tests.kit.models.ground import with_ground
from tests.kit.models.repository import write_version
from tests.kit.server.kan_serve import KanServe, serving

ROWS = np.zeros((1300, 4), np.float32)  # several requests, because the server recommends 512 rows in each
ROWS[3, 1], ROWS[700, 2], ROWS[1299, 0] = 500, 1.5, -7
WANTED = Ground(
    is_known=True,
    unknown_rows=3,
    unknown_cells=3,
    cells=(
        UnknownCell(3, "x1", "outside_range", 500),
        UnknownCell(700, "x2", "empty_cell", 1.5),
        UnknownCell(1299, "x0", "outside_range", -7),
    ),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """A kan-serve of one model for each policy, and of one without histograms; the tests share it."""
    folder = tmp_path_factory.mktemp("shared")
    for policy in ("answer", "flag", "refuse"):
        write_version(folder / "models", "affine", name=policy, change=with_ground(policy))
    write_version(folder / "models", "affine", name="imported")
    with serving(folder / "models", log=folder / "log") as started:
        yield started


def test_the_rows_of_several_requests_keep_their_places(server: KanServe) -> None:
    """Asked for, or always told by the model; not asked for, not there."""
    with Client(server.grpc) as client:
        assert client.predict("answer", ROWS, report_ground=True).ground == WANTED
        assert client.predict("flag", ROWS).ground == WANTED
        assert client.predict("answer", ROWS).ground is None
        assert client.predict("imported", ROWS, report_ground=True).ground == Ground(False, 0, 0, ())


def test_a_refused_row_is_an_error_that_names_it(server: KanServe) -> None:
    """Of the request that it is in; the others are answered."""
    with Client(server.grpc) as client:
        with pytest.raises(InvalidInput, match='row 3, column "x1" is 500, training had -1 to 3'):
            client.predict("refuse", ROWS)
        assert client.predict("refuse", ROWS[4:700], report_ground=True).ground == Ground(True, 0, 0, ())


def test_streams_and_asyncio_tell_the_same(server: KanServe) -> None:
    """A block counts its rows from 0."""

    async def ask() -> tuple[Prediction, list[Prediction]]:
        async with AsyncClient(server.grpc) as client:
            stream = client.predict_stream("answer", [ROWS[:5], ROWS[700:702]], report_ground=True)
            return await client.predict("answer", ROWS, report_ground=True), [one async for one in stream]

    whole, blocks = asyncio.run(ask())
    assert whole.ground == WANTED
    with Client(server.grpc) as client:
        same = list(client.predict_stream("answer", iter([ROWS[:5], ROWS[700:702]]), report_ground=True))
        plain = list(client.predict_stream("answer", iter([ROWS[:5]])))
    assert [one.ground for one in same] == [one.ground for one in blocks]
    assert [one.ground and one.ground.cells for one in same] == [
        (UnknownCell(3, "x1", "outside_range", 500),),
        (UnknownCell(0, "x2", "empty_cell", 1.5),),
    ]
    assert plain[0].ground is None


def test_a_server_that_does_not_know_the_question_tells_nothing() -> None:
    """An older one answers without it. A reason that a newer one has keeps its number."""
    manifest = ModelManifest(name="m", version=3, task=TASK_REGRESSION)
    answers = [pb.PredictResponse(outputs=[pb.Output(name="y", values=pb.Matrix(rows=1, columns=1, values=[1.0]))])]
    assert join_answers(manifest, answers, 1).ground is None
    answers[0].ground.cells.add(column="a").reason = 9  # type: ignore[assignment]
    ground = join_answers(manifest, answers, 1).ground
    assert ground is not None
    assert [cell.reason for cell in ground.cells] == ["reason_9"]
