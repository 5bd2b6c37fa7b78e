"""attribution.onnx of a loaded version: opened once, at the first request, without harm to predictions."""

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import File, ModelManifest
from service.errors import Draining, ModelNotReady, NotPublished, StorageError
from service.metrics.metrics import Metrics
from service.registry.model.attribution import Attribution
from service.registry.model.live_model import LiveModel, load
from service.repository.disk import read_file, read_version
from service.settings import Settings
from tests.kit.clock import Clock
from tests.kit.models import graphs
from tests.kit.models.attributions import REFERENCE, add_attribution, contributions, scores
from tests.kit.models.repository import WriteModel, list_files, read_manifest, write_manifest
from tests.kit.waiting import until

_ROWS = np.random.default_rng(2).normal(size=(40, 4)).astype(np.float32)


def _beside(rows: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([rows, np.broadcast_to(reference, rows.shape)], axis=1)


class _Files:
    """Reads files of one version, and counts the reads."""

    def __init__(self, models: Path, kind: str) -> None:
        self.reads = 0
        self.failure: Exception | None = None
        self.hold: asyncio.Event | None = None
        self._models, self._kind = models, kind

    async def __call__(self, entry: File) -> bytes:
        self.reads += 1
        if self.hold is not None:
            await self.hold.wait()
        if self.failure is not None:
            raise self.failure
        return read_file(self._models, self._kind, 1, entry, 2**27)


def _load(models: Path, kind: str, files: _Files, **settings: Any) -> LiveModel:
    return load(read_version(models, kind, 1), Settings(**settings), Metrics(), read_file=files)


def _attribution(model: LiveModel) -> Attribution:
    assert model.attribution is not None
    return model.attribution


@pytest.mark.parametrize("kind", ["affine", "classifier", "imputed"])
def test_contributions_are_those_of_a_linear_function(models: Path, write_model: WriteModel, kind: str) -> None:
    """One row, many rows, one reference or one a row, with gaps: the contributions are w · (x - r)."""
    add_attribution(write_model(kind))
    rows = _ROWS[:, : graphs.KINDS[kind].features].copy()
    if kind == "imputed":
        rows[::3, 0] = np.nan

    async def check() -> None:
        model = _load(models, kind, _Files(models, kind), max_batch_rows=16)
        for count in (1, 2, 40):
            for reference in (REFERENCE[: rows.shape[1]], rows[:1], rows[::-1][:count]):
                result = await _attribution(model).submit(_beside(rows[:count], reference))
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
        files = _Files(models, "affine")
        model = _load(models, "affine", files)
        memory_bytes, file_bytes = model.memory_bytes, model.file_bytes
        assert files.reads == 0
        results = await asyncio.gather(
            *(_attribution(model).submit(_beside(_ROWS[n : n + 1], REFERENCE)) for n in range(20))
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
        files = _Files(models, "affine")
        files.hold = asyncio.Event()
        model = _load(models, "affine", files)
        first = asyncio.create_task(_attribution(model).submit(_beside(_ROWS[:1], REFERENCE)))
        await until(lambda: files.reads > 0)
        first.cancel()
        second = asyncio.create_task(_attribution(model).submit(_beside(_ROWS[:1], REFERENCE)))
        with pytest.raises(asyncio.CancelledError):
            await first
        files.hold.set()
        await second
        assert files.reads == 1
        await model.close()

    asyncio.run(check())


def test_long_runs_take_a_thread(models: Path, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no run is short enough for the event loop, contributions are computed in one thread, and it ends."""
    monkeypatch.setattr("service.registry.model.warm_up._INLINE_SECONDS", 0.0)
    add_attribution(write_model("affine"))

    async def check() -> None:
        model = _load(models, "affine", _Files(models, "affine"))
        results = await asyncio.gather(
            *(_attribution(model).submit(_beside(_ROWS[n : n + 2], REFERENCE)) for n in range(0, 40, 2))
        )
        found = np.concatenate([result.outputs[0] for result in results])
        np.testing.assert_allclose(found, contributions("affine", _ROWS), rtol=1e-5, atol=1e-6)
        assert any(thread.name.startswith("explain-affine") for thread in threading.enumerate())
        await model.drain()
        await model.close()
        await until(lambda: not any(thread.name.startswith("explain-affine") for thread in threading.enumerate()))

    asyncio.run(check())


def _truncate(folder: Path) -> None:
    (folder / "attribution.onnx").write_bytes(b"nothing")


def _change(change: Callable[[onnx.ModelProto], object]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        graph = onnx.load(folder / "attribution.onnx")
        change(graph)
        (folder / "attribution.onnx").write_bytes(graph.SerializeToString())
        list_files(folder, "model.onnx", "attribution.onnx")

    return spoil


def _no_onnx(folder: Path) -> None:
    _truncate(folder)
    list_files(folder, "model.onnx", "attribution.onnx")


def _reference(folder: Path) -> None:
    manifest = read_manifest(folder)
    del manifest.attribution_graph.reference[1:]
    write_manifest(folder, manifest)


def _external(graph: onnx.ModelProto) -> None:
    tensor = graph.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")


def _narrow(graph: onnx.ModelProto) -> None:
    for tensor in graph.graph.initializer:
        if tensor.name == "axis":  # contributions [rows, columns, 1 output] in place of [rows, outputs, columns]
            tensor.CopyFrom(graphs.constant("axis", [2], np.int64))


def _rename(graph: onnx.ModelProto) -> None:
    graph.graph.output[0].name = "explained"


def _remove(folder: Path) -> None:
    (folder / "attribution.onnx").unlink()


def _unlist(folder: Path) -> None:
    list_files(folder, "model.onnx")


_SPOILED: dict[str, tuple[Callable[[Path], None], str]] = {
    "absent": (_remove, "absent"),
    "not listed": (_unlist, "0 times"),
    "damaged": (_truncate, "bytes"),
    "no ONNX": (_no_onnx, "does not open attribution.onnx"),
    "other names": (_change(_rename), "attribution.onnx"),
    "another width": (_change(_narrow), "attribution.onnx"),
    "weights elsewhere": (_change(_external), "weights.bin"),
    "short reference": (_reference, "reference values"),
}


@pytest.mark.parametrize("what", _SPOILED)
def test_a_graph_that_cannot_be_used_concerns_explanations_alone(
    models: Path, write_model: WriteModel, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The error says what is wrong and how to publish anew, once in the log; the model goes on predicting."""
    folder = write_model("affine")
    add_attribution(folder)
    spoil, message = _SPOILED[what]
    spoil(folder)

    async def check() -> None:
        model = _load(models, "affine", _Files(models, "affine"))
        for _ in range(2):
            with pytest.raises(NotPublished, match=message) as caught:
                await _attribution(model).submit(_beside(_ROWS, REFERENCE))
            assert "kan-train tune models/affine/1" in str(caught.value)
        await model.batcher.submit(_ROWS)
        assert _attribution(model).memory_bytes == 0
        await model.close()

    with caplog.at_level(logging.ERROR):
        asyncio.run(check())
    assert len(caplog.records) == 1


def test_a_file_that_is_there_again_is_read_after_a_pause(
    models: Path, write_model: WriteModel, caplog: pytest.LogCaptureFixture
) -> None:
    """Storage that does not answer is UNAVAILABLE for 10 s without another try; then the file is read again."""
    add_attribution(write_model("affine"))
    clock = Clock()

    async def check() -> None:
        files = _Files(models, "affine")
        files.failure = StorageError("the bucket does not answer")
        artefact = read_version(models, "affine", 1)
        attribution = Attribution(artefact.manifest, Settings(), Metrics().model("affine", "1"), files, clock=clock)
        for _ in range(2):
            with pytest.raises(ModelNotReady, match="the bucket does not answer"):
                await attribution.submit(_beside(_ROWS, REFERENCE))
        assert files.reads == 1
        files.failure = None
        clock.now += 11
        await attribution.submit(_beside(_ROWS, REFERENCE))
        assert files.reads == 2
        await attribution.close()

    with caplog.at_level(logging.ERROR):
        asyncio.run(check())


def test_a_drain_answers_the_requests_that_wait_for_the_graph(models: Path, write_model: WriteModel) -> None:
    """Requests that came before the drain are answered, also those that wait for the opening; later ones are not."""
    add_attribution(write_model("affine"))

    async def check() -> None:
        files = _Files(models, "affine")
        files.hold = asyncio.Event()
        model = _load(models, "affine", files)
        waiting = [
            asyncio.create_task(_attribution(model).submit(_beside(_ROWS[n : n + 1], REFERENCE))) for n in range(5)
        ]
        await until(lambda: files.reads > 0)
        drain = asyncio.create_task(model.drain())
        await asyncio.sleep(0)
        files.hold.set()
        assert len(await asyncio.gather(*waiting)) == 5
        await drain
        with pytest.raises(Draining):
            await _attribution(model).submit(_beside(_ROWS, REFERENCE))
        await model.close()

    asyncio.run(check())


def test_closing_ends_an_opening_that_hangs(models: Path, write_model: WriteModel) -> None:
    """A request that waits for a file that never comes fails with Draining when the version is closed."""
    add_attribution(write_model("affine"))

    async def check() -> None:
        files = _Files(models, "affine")
        files.hold = asyncio.Event()
        model = _load(models, "affine", files)
        waiting = asyncio.create_task(_attribution(model).submit(_beside(_ROWS, REFERENCE)))
        await until(lambda: files.reads > 0)
        await model.close()
        with pytest.raises(Draining):
            await waiting

    asyncio.run(check())


def test_rows_of_one_answer_are_bounded_by_its_bytes(models: Path, write_model: WriteModel) -> None:
    """Most rows times outputs times columns fit into a message, with what stands beside them."""
    add_attribution(write_model("classifier"))
    files = _Files(models, "classifier")
    attribution = _attribution(_load(models, "classifier", files, max_message_bytes=2**20))
    assert attribution.most_request_rows == (2**20 - 2**14) // (4 * 3 * (4 + 2))


def test_a_version_without_the_graph_has_no_attribution(models: Path, write_model: WriteModel) -> None:
    """An older version is loaded as before."""
    write_model("affine")
    assert _load(models, "affine", _Files(models, "affine")).attribution is None
    assert not ModelManifest().HasField("attribution_graph")
