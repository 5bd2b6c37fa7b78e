"""attribution.onnx of a loaded version: opened once, at the first request, without harm to predictions."""

import asyncio
import gc
import logging
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

from kan_api.explained_rows import most_explained_rows
from kan_api.v1.manifest_pb2 import ModelManifest
from service.errors import Draining, ModelNotReady, StorageError
from service.metrics.metrics import Metrics
from service.registry.model.attribution import Attribution
from service.repository.disk import read_version
from service.settings import Settings
from tests.kit.clock import Clock
from tests.kit.models import graphs
from tests.kit.models.attributions import REFERENCE, add_attribution, contributions, scores
from tests.kit.models.repository import WriteModel, read_manifest
from tests.kit.parts.attribution import Files, attribution_in, beside, load_model
from tests.kit.waiting import until

_ROWS = np.random.default_rng(2).normal(size=(40, 4)).astype(np.float32)


@pytest.mark.parametrize("kind", ["affine", "classifier", "imputed"])
def test_contributions_are_those_of_a_linear_function(models: Path, write_model: WriteModel, kind: str) -> None:
    """One row, many rows, one reference or one a row, with gaps: the contributions are w · (x - r)."""
    add_attribution(write_model(kind))
    rows = _ROWS[:, : graphs.KINDS[kind].features].copy()
    if kind == "imputed":
        rows[::3, 0] = np.nan

    async def check() -> None:
        model = load_model(models, kind, Files(models, kind), max_batch_rows=16)
        for count in (1, 2, 40):
            for reference in (REFERENCE[: rows.shape[1]], rows[:1], rows[::-1][:count]):
                result = await attribution_in(model).submit(beside(rows[:count], reference))
                found, explained, baseline = result.outputs
                np.testing.assert_allclose(found, contributions(kind, rows[:count], reference), rtol=1e-5, atol=1e-6)
                np.testing.assert_allclose(explained, scores(kind, rows[:count]), rtol=1e-5, atol=1e-6)
                assert baseline.shape == explained.shape
                np.testing.assert_allclose(found.sum(axis=2), explained - baseline, rtol=1e-5, atol=1e-5)
        await model.close()

    asyncio.run(check())


def test_it_is_opened_once_by_the_first_of_many_requests(models: Path, write_model: WriteModel) -> None:
    """Twenty requests at once read the file once. The memory of the version grows by that of the session."""
    add_attribution(write_model("affine"))

    async def check() -> None:
        files = Files(models, "affine")
        model = load_model(models, "affine", files)
        memory_bytes, file_bytes = model.memory_bytes, model.file_bytes
        assert files.reads == 0
        results = await asyncio.gather(
            *(attribution_in(model).submit(beside(_ROWS[n : n + 1], REFERENCE)) for n in range(20))
        )
        assert files.reads == 1
        np.testing.assert_allclose(
            np.concatenate([result.outputs[0] for result in results]), contributions("affine", _ROWS[:20]), rtol=1e-5
        )
        assert model.memory_bytes > memory_bytes
        assert model.file_bytes == file_bytes + (models / "affine/1/attribution.onnx").stat().st_size
        assert model.metrics.explanations.rows == 20
        assert model.metrics.batch_rows().count == 0, "explanations are not counted among predictions"
        await model.close()

    asyncio.run(check())


def test_a_caller_who_leaves_takes_nothing_from_the_others(models: Path, write_model: WriteModel) -> None:
    """The request that began the opening is cancelled; the opening goes on, and the next request is answered by it."""
    add_attribution(write_model("affine"))

    async def check() -> None:
        files = Files(models, "affine")
        files.hold = asyncio.Event()
        model = load_model(models, "affine", files)
        first = asyncio.create_task(attribution_in(model).submit(beside(_ROWS[:1], REFERENCE)))
        await until(lambda: files.reads > 0)
        first.cancel()
        second = asyncio.create_task(attribution_in(model).submit(beside(_ROWS[:1], REFERENCE)))
        with pytest.raises(asyncio.CancelledError):
            await first
        files.hold.set()
        await second
        assert files.reads == 1
        await model.close()

    asyncio.run(check())


def test_long_runs_take_a_thread(models: Path, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no run is short enough for the event loop, contributions are computed in one thread, and it ends."""
    monkeypatch.setattr("service.registry.model.warm_up.INLINE_SECONDS", 0.0)
    add_attribution(write_model("affine"))

    async def check() -> None:
        model = load_model(models, "affine", Files(models, "affine"))
        results = await asyncio.gather(
            *(attribution_in(model).submit(beside(_ROWS[n : n + 2], REFERENCE)) for n in range(0, 40, 2))
        )
        found = np.concatenate([result.outputs[0] for result in results])
        np.testing.assert_allclose(found, contributions("affine", _ROWS), rtol=1e-5, atol=1e-6)
        assert any(thread.name.startswith("explain-affine") for thread in threading.enumerate())
        await model.drain()
        await model.close()
        await until(lambda: not any(thread.name.startswith("explain-affine") for thread in threading.enumerate()))

    asyncio.run(check())


def test_a_file_that_is_there_again_is_read_after_a_pause(
    models: Path, write_model: WriteModel, caplog: pytest.LogCaptureFixture
) -> None:
    """Storage that does not answer is UNAVAILABLE for 10 s without another try; then the file is read again."""
    add_attribution(write_model("affine"))
    clock = Clock()

    async def check() -> None:
        files = Files(models, "affine")
        files.failure = StorageError("the bucket does not answer")
        artefact = read_version(models, "affine", 1)
        attribution = Attribution(artefact.manifest, Settings(), Metrics().model("affine", "1"), files, clock=clock)
        for _ in range(2):
            with pytest.raises(ModelNotReady, match="the bucket does not answer"):
                await attribution.submit(beside(_ROWS, REFERENCE))
        assert files.reads == 1
        files.failure = None
        clock.now += 11
        await attribution.submit(beside(_ROWS, REFERENCE))
        assert files.reads == 2
        await attribution.close()

    with caplog.at_level(logging.ERROR):
        asyncio.run(check())


def test_a_drain_answers_the_requests_that_wait_for_the_graph(models: Path, write_model: WriteModel) -> None:
    """Requests that came before the drain are answered, also those that wait for the opening; later ones are not."""
    add_attribution(write_model("affine"))

    async def check() -> None:
        files = Files(models, "affine")
        files.hold = asyncio.Event()
        model = load_model(models, "affine", files)
        waiting = [
            asyncio.create_task(attribution_in(model).submit(beside(_ROWS[n : n + 1], REFERENCE))) for n in range(5)
        ]
        await until(lambda: files.reads > 0)
        drain = asyncio.create_task(model.drain())
        await asyncio.sleep(0)
        files.hold.set()
        assert len(await asyncio.gather(*waiting)) == 5
        await drain
        with pytest.raises(Draining):
            await attribution_in(model).submit(beside(_ROWS, REFERENCE))
        await model.close()

    asyncio.run(check())


def test_closing_ends_an_opening_that_hangs(models: Path, write_model: WriteModel) -> None:
    """A request that waits for a file that never comes fails with Draining when the version is closed."""
    add_attribution(write_model("affine"))

    async def check() -> None:
        files = Files(models, "affine")
        files.hold = asyncio.Event()
        model = load_model(models, "affine", files)
        waiting = asyncio.create_task(attribution_in(model).submit(beside(_ROWS, REFERENCE)))
        await until(lambda: files.reads > 0)
        await model.close()
        with pytest.raises(Draining):
            await waiting

    asyncio.run(check())


def test_rows_of_one_answer_are_bounded_by_its_bytes(models: Path, write_model: WriteModel) -> None:
    """Most rows times outputs times columns fit into a message, with what stands beside them."""
    folder = write_model("classifier")
    add_attribution(folder)
    manifest = read_manifest(folder)
    files = Files(models, "classifier")
    attribution = attribution_in(load_model(models, "classifier", files, max_message_bytes=2**20))
    assert attribution.most_request_rows == most_explained_rows(manifest, 2**20)
    assert 10_000 < attribution.most_request_rows < (2**20 - 2**14) // (4 * 3 * (4 + 2))


def test_a_closed_version_holds_no_session(models: Path, write_model: WriteModel) -> None:
    """Nothing refers to the graph any more, although the attribution is still there; what comes then is refused."""
    add_attribution(write_model("affine"))

    async def check() -> None:
        model = load_model(models, "affine", Files(models, "affine"))
        attribution = attribution_in(model)
        await attribution.submit(beside(_ROWS[:1], REFERENCE))
        assert attribution._graph is not None
        graph = weakref.ref(attribution._graph.run)
        await model.close()
        await until(lambda: gc.collect() >= 0 and graph() is None)  # the threads that used it also let go
        assert attribution.memory_bytes == 0
        with pytest.raises(Draining):
            await attribution.submit(beside(_ROWS[:1], REFERENCE))

    asyncio.run(check())


def test_a_version_without_the_graph_has_noattribution_in(models: Path, write_model: WriteModel) -> None:
    """An older version is loaded as before."""
    write_model("affine")
    assert load_model(models, "affine", Files(models, "affine")).attribution is None
    assert not ModelManifest().HasField("attribution_graph")
