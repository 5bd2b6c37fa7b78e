"""Sessions of onnxruntime: providers, and the two ways of rows through them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import onnx
import psutil
import pytest

from kan_api.v1.manifest_pb2 import TensorSpec
from service.cores import container_cores
from service.errors import StartupError
from service.registry.model.onnx_runtime import onnxruntime
from service.registry.model.session import (
    bound_run,
    open_session,
    plain_run,
    provider_in_use,
    provider_of,
    threads_of_runs,
)
from service.repository.disk import read_version
from service.settings import Settings
from tests.kit.models.graphs import Answer
from tests.kit.models.repository import WriteModel


@pytest.fixture
def model_bytes(models: Path, write_model: WriteModel) -> bytes:
    """A graph that any provider takes."""
    write_model("affine")
    return read_version(models, "affine", 1).model_bytes


def test_cuda_asked_for_and_absent_is_an_error_unless_allowed(
    model_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no silent fallback to the CPU. If it is allowed, the session reports the CPU."""
    # As onnxruntime says without its GPU package, also on a machine that has it.
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    for refused in (provider_in_use, partial(open_session, model_bytes)):
        with pytest.raises(StartupError, match="--allow-fallback"):
            refused(Settings(provider="cuda"))
    assert provider_of(open_session(model_bytes, Settings(provider="cuda", allow_fallback=True))) == "cpu"
    assert provider_of(open_session(model_bytes, Settings())) == "cpu"


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="CUDA may work here")
@pytest.mark.filterwarnings("ignore:Specified provider 'CUDAExecutionProvider' is not in available:UserWarning")
def test_cuda_that_is_listed_and_does_not_work_is_an_error_unless_allowed(
    model_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the GPU package without CUDA's libraries: it lists CUDA, and the session that it opens is on the CPU."""
    listed = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: listed)
    with pytest.raises(StartupError, match="CPUExecutionProvider"):
        open_session(model_bytes, Settings(provider="cuda"))
    allowed = Settings(provider="cuda", allow_fallback=True)
    assert provider_in_use(allowed) == "cuda"  # what is asked for; not what the session got
    assert provider_of(open_session(model_bytes, allowed)) == "cpu"


def test_a_sessions_provider_is_the_first_of_its_own() -> None:
    """By the words of --provider; one that has none keeps onnxruntime's name. A session on a GPU cannot be had here."""

    def of(*names: str) -> str:
        return provider_of(SimpleNamespace(get_providers=lambda: list(names)))

    assert of("CUDAExecutionProvider", "CPUExecutionProvider") == "cuda"
    assert of("CPUExecutionProvider") == "cpu"
    assert of("ROCMExecutionProvider", "CPUExecutionProvider") == "ROCMExecutionProvider"


def test_a_bound_run_answers_as_a_plain_one(models: Path, write_model: WriteModel, answer: Answer) -> None:
    """The way of a device, on the CPU: any number of rows, and no answer changes when the next batch runs."""
    write_model("classifier")
    artefact = read_version(models, "classifier", 1)
    session = open_session(artefact.model_bytes, Settings())
    bound, plain = bound_run(session, artefact.manifest), plain_run(session, artefact.manifest)
    random = np.random.default_rng(5)
    batches = [random.normal(size=(rows, 4)).astype(np.float32) for rows in (1, 64, 64, 7)]
    answers = [bound(rows) for rows in batches]
    for rows, (given,) in zip(batches, answers, strict=True):
        np.testing.assert_array_equal(given, plain(rows)[0])
        np.testing.assert_allclose(given, answer("classifier", rows), rtol=1e-5)


def test_a_bound_run_keeps_the_manifests_order_of_outputs(models: Path, write_model: WriteModel) -> None:
    """Two outputs, in the manifest the other way round than in the graph."""
    write_model("affine")
    artefact = read_version(models, "affine", 1)
    graph = onnx.load_model_from_string(artefact.model_bytes)
    graph.graph.node.append(onnx.helper.make_node("Neg", ["y"], ["minus_y"]))
    graph.graph.output.append(onnx.helper.make_tensor_value_info("minus_y", onnx.TensorProto.FLOAT, ["rows", 1]))
    artefact.manifest.outputs.insert(0, TensorSpec(name="minus_y", datatype="FP32", shape=[-1, 1]))
    session = open_session(graph.SerializeToString(), Settings())
    for run in (bound_run(session, artefact.manifest), plain_run(session, artefact.manifest)):
        for rows in (1, 3):
            minus_y, y = run(np.ones((rows, 4), np.float32))
            np.testing.assert_array_equal(minus_y, -y)
            assert y.any()


def test_one_row_is_answered_as_any_number_of_rows(models: Path, write_model: WriteModel, answer: Answer) -> None:
    """Numbers as numpy's, from a memory of their own: no answer changes when the next row runs."""
    write_model("classifier")
    artefact = read_version(models, "classifier", 1)
    run = plain_run(open_session(artefact.model_bytes, Settings()), artefact.manifest)
    rows = np.random.default_rng(6).normal(size=(20, 1, 4)).astype(np.float32)
    answers = [run(row)[0] for row in rows]
    for row, given in zip(rows, answers, strict=True):
        np.testing.assert_allclose(given, answer("classifier", row), rtol=1e-5)


def test_one_row_of_another_width_fails(models: Path, write_model: WriteModel) -> None:
    """It is not stretched to the width of the model."""
    write_model("affine")
    artefact = read_version(models, "affine", 1)
    run = plain_run(open_session(artefact.model_bytes, Settings()), artefact.manifest)
    with pytest.raises(Exception, match="dimension"):
        run(np.ones((1, 1), np.float32))


def test_one_row_where_the_input_is_an_output_too(models: Path, write_model: WriteModel) -> None:
    """The row comes back unchanged."""
    write_model("affine")
    artefact = read_version(models, "affine", 1)
    graph = onnx.load_model_from_string(artefact.model_bytes)
    graph.graph.output.append(onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["rows", 4]))
    artefact.manifest.outputs.append(TensorSpec(name="x", datatype="FP32", shape=[-1, 4]))
    run = plain_run(open_session(graph.SerializeToString(), Settings()), artefact.manifest)
    row = np.arange(4, dtype=np.float32).reshape(1, 4)
    np.testing.assert_array_equal(run(row)[1], row)


def test_onnxruntime_writes_no_lines_of_its_own(
    models: Path, write_model: WriteModel, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its message about a graph that fails to open or run is in the error only, with a bounded length."""
    write_model("affine")
    artefact = read_version(models, "affine", 1)
    graph = onnx.load_model_from_string(artefact.model_bytes)
    graph.graph.node[-1].output[0] = "all"
    graph.graph.initializer.append(onnx.numpy_helper.from_array(np.array([-1, 3]), "threes"))
    graph.graph.node.append(onnx.helper.make_node("Reshape", ["all", "threes"], ["y"], name="n" * 100_000))
    run = plain_run(open_session(graph.SerializeToString(), Settings()), artefact.manifest)
    with pytest.raises(Exception, match="Reshape"):
        run(np.ones((4, 4), np.float32))
    assert capfd.readouterr() == ("", "")


def _grown_megabytes(block: Callable[[], object]) -> float:
    """By how much the memory of this process grows."""
    process = psutil.Process()
    before = process.memory_info().rss
    block()
    return (process.memory_info().rss - before) / 1e6


def test_sessions_that_share_an_arena_run_in_the_same_memory(models: Path, write_model: WriteModel) -> None:
    """Each run needs 42 MB. Four sessions keep 168 MB, or together less than half of that."""
    write_model("affine")
    graph = onnx.load_model_from_string(read_version(models, "affine", 1).model_bytes)
    graph.graph.node[0].input[0] = "same"  # the model reads its rows after a detour through 2560 times as many numbers
    graph.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 2560]), "times"))
    graph.graph.initializer.append(onnx.numpy_helper.from_array(np.arange(4), "first"))
    graph.graph.node.insert(0, onnx.helper.make_node("Gather", ["many", "first"], ["same"], axis=1))
    graph.graph.node.insert(0, onnx.helper.make_node("Tile", ["x", "times"], ["many"]))
    rows = np.random.default_rng(8).normal(size=(1024, 4)).astype(np.float32)
    sessions: list[Any] = []
    answers = []

    def run(*, shares_arena: bool) -> None:
        for _ in range(4):
            sessions.append(open_session(graph.SerializeToString(), Settings(), shares_arena=shares_arena))
            answers.append(sessions[-1].run(None, {"x": rows})[0])

    together = _grown_megabytes(partial(run, shares_arena=True))
    assert together < _grown_megabytes(partial(run, shares_arena=False)) / 2
    for each in answers:
        np.testing.assert_array_equal(each, answers[0])


def test_sessions_that_share_an_arena_run_at_once(models: Path, write_model: WriteModel, answer: Answer) -> None:
    """Four threads, each with a session and batches of its own: every answer is numpy's."""
    write_model("classifier")
    content = read_version(models, "classifier", 1).model_bytes
    random = np.random.default_rng(9)
    batches = [random.normal(size=(rows, 4)).astype(np.float32) for rows in range(1, 200)]

    def run_all(session: Any) -> list[Any]:
        return [session.run(None, {"x": rows})[0] for rows in batches]

    sessions = [open_session(content, Settings(), shares_arena=True) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for answers in pool.map(run_all, sessions):
            for rows, given in zip(batches, answers, strict=True):
                np.testing.assert_allclose(given, answer("classifier", rows), rtol=1e-4)


def test_a_run_has_no_more_threads_than_the_container_has_cores(model_bytes: bytes) -> None:
    """Threads beyond the cores would wait for each other; idle threads do not wait in a busy loop."""
    assert threads_of_runs(Settings(intra_op_threads=1024)) == container_cores()
    assert threads_of_runs(Settings(intra_op_threads=1)) == 1
    options = open_session(model_bytes, Settings(intra_op_threads=1024)).get_session_options()
    assert options.intra_op_num_threads == container_cores()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize(("workers", "threads"), [(1, 8), (2, 4), (3, 2), (8, 1), (9, 1), ("auto", 1)])
def test_workers_share_the_cores(monkeypatch: pytest.MonkeyPatch, workers: int | Literal["auto"], threads: int) -> None:
    """In a container with 8 cores the threads of all workers are no more than the cores, and one for each worker."""
    for module in ("registry.model.session", "rpc.worker_count"):
        monkeypatch.setattr(f"service.{module}.container_cores", lambda: 8)
    assert threads_of_runs(Settings(intra_op_threads=1024, workers=workers)) == threads


def test_a_session_of_one_of_many_workers_has_one_thread(model_bytes: bytes) -> None:
    """With a worker for each core of this container, onnxruntime is opened with one thread in each."""
    options = open_session(model_bytes, Settings(intra_op_threads=1024, workers="auto")).get_session_options()
    assert options.intra_op_num_threads == 1
