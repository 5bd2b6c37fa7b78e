"""Explain as callers see it, on each front end: answers, references, bad input, swaps, a server that stops."""

import asyncio
from collections.abc import Iterator
from typing import Any

import grpc.aio
import numpy as np
import pytest
from numpy.typing import NDArray

from kan_api.v1 import prediction_pb2 as pb
from tests.kit.callers.calls import ask, failure_of, infer, matrix, predict
from tests.kit.models.attributions import add_attribution, contributions, scores
from tests.kit.models.ground import with_ground
from tests.kit.models.repository import WriteModel, write_version
from tests.kit.server.kan_serve import KanServe, Start, serving
from tests.kit.waiting import until_elsewhere

_ROWS = np.array([[0.5, -1, 2.5, 0], [1, 1.5, 1, 1], [-3, 0.25, 0, 8]], np.float32)
_GAP = np.array([[np.nan, 3.0]], np.float32)


@pytest.fixture(scope="module")
def server(frontend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """A kan-serve of three models that explain and of one, "old", that does not; messages up to 256 KiB."""
    folder = tmp_path_factory.mktemp("explain")
    for kind in ("affine", "classifier", "imputed"):
        add_attribution(write_version(folder / "models", kind, change=with_ground() if kind == "affine" else None))
    write_version(folder / "models", "affine", name="old")
    flags = ("--frontend", frontend, "--max-message-bytes", str(2**18))
    with serving(folder / "models", *flags, log=folder / "log") as started:
        yield started


def _explain(channel: grpc.aio.Channel, model: str, rows: NDArray[np.float32], **fields: Any) -> Any:
    return ask(channel, "Explain", model=model, features=matrix(rows), **fields)


def _contributions(answer: pb.ExplainResponse) -> NDArray[np.float32]:
    """[rows, outputs, columns]."""
    found = [np.frombuffer(each.values.raw, "<f4") for each in answer.contributions]
    return np.stack([each.reshape(-1, len(answer.columns)) for each in found], axis=1)


def test_contributions_add_up(server: KanServe) -> None:
    """Of numbers, of classes and of a row with a gap: numpy's contributions, which add up to answer - baseline."""

    async def check() -> None:
        async with server.channel() as channel:
            for model, rows in (("affine", _ROWS), ("classifier", _ROWS), ("imputed", _GAP)):
                for reference in (None, rows[-1:]):
                    fields = {} if reference is None else {"reference": matrix(reference)}
                    answer = await _explain(channel, model, rows, **fields)
                    found = _contributions(answer)
                    np.testing.assert_allclose(found, contributions(model, rows, reference), rtol=1e-5, atol=1e-6)
                    explained = np.frombuffer(answer.explained.raw, "<f4").reshape(found.shape[:2])
                    np.testing.assert_allclose(explained, scores(model, rows), rtol=1e-5, atol=1e-6)
                    baseline = np.frombuffer(answer.baseline.raw, "<f4")
                    np.testing.assert_allclose(found.sum(axis=2), explained - baseline, atol=1e-5)

    asyncio.run(check())


def test_ground_is_always_told(server: KanServe) -> None:
    """Columns and values on unknown ground; of a version without histograms that nothing is known."""

    async def check() -> None:
        async with server.channel() as channel:
            ground = (await _explain(channel, "affine", _ROWS)).ground
            assert (ground.is_known, ground.unknown_rows, ground.unknown_cells) == (True, 2, 6)
            last = ground.cells[-1]
            assert (last.row, last.column, last.value) == (2, "x3", 8)
            assert last.reason == pb.UnknownCell.REASON_OUTSIDE_RANGE
            assert not (await _explain(channel, "classifier", _ROWS)).ground.is_known

    asyncio.run(check())


def test_named_outputs_over_open_inference(server: KanServe) -> None:
    """The same numbers as Explain gives, and the same cells."""

    async def check() -> None:
        async with server.channel() as channel:
            names = ("contributions", "baseline", "unknown_ground")
            answer = await infer(channel, "affine", _ROWS, outputs=[{"name": name} for name in names])
            typed = await _explain(channel, "affine", _ROWS)
            assert answer.raw_output_contents[0] == typed.contributions[0].values.raw
            assert answer.raw_output_contents[1] == typed.baseline.raw * 3
            assert sum(answer.raw_output_contents[2]) == typed.ground.unknown_cells

    asyncio.run(check())


_NAN = np.full((1, 4), np.nan, np.float32)
_MISTAKES: list[tuple[dict[str, Any], str, str]] = [
    ({"features": matrix(_ROWS[:, :2])}, "INVALID_ARGUMENT", "features has 2 columns; model 'affine' wants 4"),
    ({"features": matrix(_NAN)}, "INVALID_ARGUMENT", "features: row 0, column 0 ('x0') is nan; wanted a finite"),
    ({"reference": matrix(_ROWS[:1, :3])}, "INVALID_ARGUMENT", "reference has 3 columns; model 'affine' wants 4"),
    ({"reference": matrix(_NAN)}, "INVALID_ARGUMENT", "reference: row 0, column 0 ('x0') is nan; wanted a finite"),
    ({"reference": matrix(_ROWS[:2])}, "INVALID_ARGUMENT", "reference has 2 rows; wanted 1 or 3, as features has"),
    ({"reference": matrix(np.full_like(_ROWS, np.inf))}, "INVALID_ARGUMENT", "reference: row 0"),
    ({"reference": pb.Matrix(rows=1, columns=4, raw=bytes(16), values=[0.0])}, "INVALID_ARGUMENT", "raw and values"),
    ({"features": pb.Matrix(rows=10**6, columns=4)}, "INVALID_ARGUMENT", "features has 1000000 rows; wanted 1 to 4096"),
    ({"model": "old"}, "FAILED_PRECONDITION", "kan-train tune models/old/1"),
    ({"model": "nothing"}, "NOT_FOUND", "nothing"),
]


def test_bad_input_is_told_in_plain_words(server: KanServe) -> None:
    """Each mistake has its status and says what came and what was wanted; the next request is answered."""

    async def check() -> None:
        async with server.channel() as channel:
            for change, code, message in _MISTAKES:
                fields = {"model": "affine", "features": matrix(_ROWS), **change}
                status = await failure_of(ask(channel, "Explain", **fields))
                assert status[0] == code, status
                assert message in status[1]
            assert (await _explain(channel, "affine", _ROWS)).version == 1

    asyncio.run(check())


def test_rows_whose_answer_is_too_large_are_refused_with_the_number_that_fits(server: KanServe) -> None:
    """4,000 rows fit into the request, not into the answer; the number in the error is answered."""

    async def check() -> None:
        async with server.channel() as channel:
            rows = np.ones((4000, 4), np.float32)
            code, message = await failure_of(_explain(channel, "classifier", rows))
            assert code == "RESOURCE_EXHAUSTED"
            most = int(message.rpartition("send at most ")[2].split()[0])
            answer = await _explain(channel, "classifier", rows[:most])
            assert _contributions(answer).shape == (most, 3, 4)

    asyncio.run(check())


def test_the_graph_is_opened_at_the_first_request(start: Start, write_model: WriteModel) -> None:
    """Forty first requests at once are answered by one opening; predictions meanwhile too."""
    add_attribution(write_model("affine"))
    server = start()
    assert server.sample("kan_explained_rows_total", model="affine") == 0

    async def check() -> None:
        async with server.channel() as channel:
            calls = [_explain(channel, "affine", _ROWS) for _ in range(40)]
            answers = await asyncio.gather(*calls, *(predict(channel, "affine", _ROWS) for _ in range(20)))
            for answer in answers[:40]:
                np.testing.assert_allclose(_contributions(answer), contributions("affine", _ROWS), rtol=1e-5, atol=1e-6)

    asyncio.run(check())
    assert server.sample("kan_explained_rows_total", model="affine") == 120
    assert server.log.read_text().count("attribution.onnx of model 'affine' version 1 opened") == 1


def test_a_broken_graph_leaves_predictions_alone(start: Start, write_model: WriteModel) -> None:
    """A file that was changed after publishing: FAILED_PRECONDITION with its name; the version stays ready."""
    folder = write_model("affine")
    add_attribution(folder)
    server = start()
    (folder / "attribution.onnx").write_bytes(b"other bytes")

    async def check() -> None:
        async with server.channel() as channel:
            for _ in range(3):
                code, message = await failure_of(_explain(channel, "affine", _ROWS))
                assert code == "FAILED_PRECONDITION"
                assert "attribution.onnx of model 'affine' version 1 cannot be used" in message
                assert (await predict(channel, "affine", _ROWS)).version == 1

    asyncio.run(check())
    assert server.is_ready()


def test_explanations_through_a_swap_and_a_stop(start: Start, write_model: WriteModel) -> None:
    """While a version takes over, and until the server stops, each request is answered by the version it names."""
    add_attribution(write_model("affine", 1))
    server = start("--poll-seconds", "0.05")

    async def check() -> None:
        async with server.channel() as channel:
            assert (await _explain(channel, "affine", _ROWS)).version == 1
            add_attribution_hidden(write_model)
            versions = set()

            async def ask_on() -> None:
                while 2 not in versions:
                    answer = await _explain(channel, "affine", _ROWS)
                    versions.add(answer.version)
                    np.testing.assert_allclose(
                        _contributions(answer), contributions("affine", _ROWS), rtol=1e-5, atol=1e-6
                    )

            await asyncio.wait_for(asyncio.gather(*(ask_on() for _ in range(8))), 60)
            assert (await _explain(channel, "affine", _ROWS, version=1)).version == 1
            await until_elsewhere(lambda: server.sample("kan_model_ready", model="affine", version="2") == 1)

    asyncio.run(check())
    code, log = server.stop()
    assert code == 0
    assert "Traceback" not in log


def add_attribution_hidden(write_model: WriteModel) -> None:
    """Publish version 2 whole: it appears with its attribution.onnx."""
    folder = write_model("affine", 2, name=".affine-2", change=lambda manifest: setattr(manifest, "name", "affine"))
    target = folder.parents[1] / "affine" / "2"
    add_attribution(folder, kind="affine")
    folder.rename(target)
