"""Live models: real onnxruntime sessions against numpy, and graphs that must be refused."""

import asyncio
import ctypes
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, File, ModelManifest, TensorSpec
from service.errors import Draining
from service.metrics import Metrics
from service.model import LiveModel, load
from service.onnx_runtime import onnxruntime
from service.repository import Artefact, ModelRefused, read_version
from service.settings import Settings

Answer = Callable[[str, NDArray[np.float32]], NDArray[np.float32]]


def _load(models: Path, kind: str, **settings: object) -> LiveModel:
    return load(read_version(models, kind, 1), Settings(**settings), Metrics())  # type: ignore[arg-type]


def _refused(artefact: Artefact, kind: str, match: str) -> None:
    with pytest.raises(ModelRefused, match=match) as caught:
        load(artefact, Settings(), Metrics())
    assert caught.value.kind == kind


def _with_graph(artefact: Artefact, change: Callable[[onnx.ModelProto], object]) -> Artefact:
    """The artefact with another graph."""
    graph = onnx.load_model_from_string(artefact.model_bytes)
    change(graph)
    return replace(artefact, model_bytes=graph.SerializeToString())


@pytest.mark.parametrize(("kind", "features"), [("affine", 4), ("classifier", 4), ("imputed", 2), ("slow", 4)])
def test_answers_are_those_of_numpy(
    models: Path, write_model: Callable[..., Path], answer: Answer, kind: str, features: int
) -> None:
    """Through batcher and session, in one block or several, the answers are numpy's."""
    write_model(kind)
    rows = np.random.default_rng(3).normal(size=(150, features)).astype(np.float32)
    if kind == "imputed":
        rows[::3, 0] = np.nan

    async def test() -> None:
        model = _load(models, kind)
        result = await model.batcher.submit(rows)
        np.testing.assert_allclose(result.outputs[0], answer(kind, rows), rtol=1e-4, atol=1e-6)
        assert result.outputs[0].dtype == np.float32
        await model.close()

    asyncio.run(test())


def test_it_says_what_it_is(models: Path, write_model: Callable[..., Path]) -> None:
    """Name, version, width and the features that allow NaN come from the manifest."""
    write_model("imputed", change=lambda manifest: manifest.features[1].ClearField("imputed"))
    model = _load(models, "imputed")
    assert (model.name, model.version, model.features) == ("imputed", 1, 2)
    assert model.imputes.tolist() == [True, False]
    assert model.manifest.task


def test_a_quick_model_runs_on_the_loop_and_a_slow_one_in_a_thread(
    models: Path, write_model: Callable[..., Path]
) -> None:
    """Measured time decides where a model runs."""
    write_model("affine")
    write_model("slow")

    async def test() -> None:
        quick, slow = _load(models, "affine"), _load(models, "slow")
        assert (quick.inline, slow.inline) == (True, False)
        # The loop stays free while the slow one runs.
        task = asyncio.create_task(slow.batcher.submit(np.zeros((64, 4), np.float32)))
        turns = 0
        while not task.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > 10
        await quick.close()
        await slow.close()

    asyncio.run(test())


def test_a_closed_model_takes_nothing(models: Path, write_model: Callable[..., Path]) -> None:
    """close() ends a model; twice is fine."""
    write_model("slow")

    async def test() -> None:
        model = _load(models, "slow")
        await model.close()
        await model.close()
        with pytest.raises(Draining):
            await model.batcher.submit(np.zeros((1, 4), np.float32))

    asyncio.run(test())


@pytest.mark.parametrize(("preferred_rows", "wanted"), [(0, 512), (16, 16), (1024, 512), (-5, 512)])
def test_preferred_rows_bound_the_block(
    models: Path, write_model: Callable[..., Path], preferred_rows: int, wanted: int
) -> None:
    """The block that the graph was tuned for is used where it is smaller; nonsense is passed over."""
    write_model("affine", change=lambda manifest: setattr(manifest, "preferred_rows", preferred_rows))
    assert _load(models, "affine").batcher.max_batch_rows == wanted


def test_its_bounds_are_told_to_the_metrics(models: Path, write_model: Callable[..., Path]) -> None:
    """What a run takes is bounded by setting and version, what may wait by the setting."""
    write_model("affine", change=lambda manifest: setattr(manifest, "preferred_rows", 16))
    metrics = Metrics()
    load(read_version(models, "affine", 1), Settings(max_queue_rows=5000), metrics)
    bound = metrics.model("affine", "1")
    assert (bound.batch_limit_rows, bound.queue_limit_rows) == (16, 5000)


def test_bytes_that_are_no_graph_are_refused(models: Path, write_model: Callable[..., Path]) -> None:
    """What onnxruntime cannot open is a refusal with its reason."""
    write_model("affine")
    artefact = read_version(models, "affine", 1)
    for content in (b"", b"not a model", artefact.model_bytes[:50]):
        _refused(replace(artefact, model_bytes=content), "graph", "does not open")


def _rename(graph: onnx.ModelProto) -> None:
    graph.graph.output[0].name = "z"
    graph.graph.node[-1].output[0] = "z"


def _fix_rows(graph: onnx.ModelProto) -> None:
    for value in (graph.graph.input[0], graph.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 8


def _widen(graph: onnx.ModelProto) -> None:
    del graph.graph.node[:], graph.graph.initializer[:]
    graph.graph.node.append(onnx.helper.make_node("ReduceSum", ["x"], ["y"], keepdims=1))
    graph.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 5
    del graph.graph.output[0].type.tensor_type.shape.dim[:]


def _double_precision(graph: onnx.ModelProto) -> None:
    graph.graph.node[-1].output[0] = "single"
    graph.graph.node.append(onnx.helper.make_node("Cast", ["single"], ["y"], to=onnx.TensorProto.DOUBLE))
    graph.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (_rename, r"outputs \['z'\], the manifest says \['y'\]"),
        (_fix_rows, r"wanted tensor\(float\) \[any number of rows, 4\]"),
        (_widen, r"\['rows', 5\], wanted"),
        (_double_precision, r"tensor\(double\)"),
    ],
)
def test_a_graph_that_is_not_what_the_manifest_says_is_refused(
    models: Path, write_model: Callable[..., Path], change: Callable[[onnx.ModelProto], object], match: str
) -> None:
    """Names, types, widths and free rows are checked before a caller can see them wrong."""
    write_model("affine")
    _refused(_with_graph(read_version(models, "affine", 1), change), "graph", match)


def _cut_rows(graph: onnx.ModelProto) -> None:
    graph.graph.node[-1].output[0] = "all"
    for name, values in (("start", [0]), ("end", [1])):
        graph.graph.initializer.append(onnx.numpy_helper.from_array(np.array(values), name))
    graph.graph.node.append(onnx.helper.make_node("Slice", ["all", "start", "end"], ["y"]))


def _only_threes(graph: onnx.ModelProto) -> None:
    graph.graph.node[-1].output[0] = "all"
    for name, values in (("threes", [-1, 3]), ("ones", [-1, 1])):
        graph.graph.initializer.append(onnx.numpy_helper.from_array(np.array(values), name))
    graph.graph.node.append(onnx.helper.make_node("Reshape", ["all", "threes"], ["folded"]))
    graph.graph.node.append(onnx.helper.make_node("Reshape", ["folded", "ones"], ["y"]))


def test_a_graph_that_fails_at_warm_up_is_refused(models: Path, write_model: Callable[..., Path]) -> None:
    """A graph that gives too few rows, or fails on some number of rows, is found before the first caller."""
    write_model("affine")
    artefact = read_version(models, "affine", 1)
    _refused(_with_graph(artefact, _cut_rows), "run", r"wanted float32 \[512, 1\]")
    _refused(_with_graph(artefact, _only_threes), "run", "fails on 1 rows")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda manifest: manifest.ClearField("inputs"), "0 inputs"),
        (lambda manifest: manifest.ClearField("outputs"), "0 outputs"),
        (lambda manifest: manifest.ClearField("features"), "0 features"),
        (lambda manifest: manifest.features.add(name="more"), "5 features and an input of 4 columns"),
        (lambda manifest: setattr(manifest.inputs[0], "datatype", "FP64"), "FP64"),
        (lambda manifest: manifest.ClearField("columns"), "0 features by its columns and 4"),
        (lambda manifest: setattr(manifest.features[2], "column", "other"), "number 3 differs"),
        (lambda manifest: manifest.ClearField("task"), "no task"),
        (lambda manifest: setattr(manifest, "task", TASK_CLASSIFICATION), r"0 classes and an output of \d"),
        (lambda manifest: manifest.outputs[0].shape.append(1), r"wanted FP32 \[-1, columns\]"),
        (lambda manifest: manifest.outputs.append(TensorSpec(name="z", datatype="FP32", shape=[-1, 1])), "'z'"),
    ],
)
def test_a_manifest_that_describes_no_matrix_is_refused(
    models: Path, write_model: Callable[..., Path], change: Callable[[ModelManifest], object], match: str
) -> None:
    """One FP32 matrix in, FP32 matrices out, columns that are the features, a task, a class for each probability."""
    write_model("affine", change=change)
    with pytest.raises(ModelRefused, match=match):
        load(read_version(models, "affine", 1), Settings(), Metrics())


def test_ranges_without_numbers_do_not_stop_the_warm_up(models: Path, write_model: Callable[..., Path]) -> None:
    """NaN, infinite or huge feature ranges in a manifest are no reason to fail."""

    def change(manifest: ModelManifest) -> None:
        manifest.features[0].low = float("nan")
        manifest.features[1].low, manifest.features[1].high = float("-inf"), float("inf")
        manifest.features[2].high = 1e300

    write_model("affine", change=change)
    assert _load(models, "affine").inline


def test_external_data_is_refused(models: Path, write_model: Callable[..., Path]) -> None:
    """Weights in a second file are not covered by the checksum, so such a graph does not load."""
    folder = write_model("affine")
    graph = onnx.load_model_from_string((folder / "model.onnx").read_bytes())
    onnx.save_model(graph, folder / "model.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    content = (folder / "model.onnx").read_bytes()
    manifest = ModelManifest.FromString(_manifest_bytes(models))
    manifest.files[0].CopyFrom(
        File(name="model.onnx", sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))
    )
    _refused(Artefact(manifest, content), "graph", "does not open")


def _manifest_bytes(models: Path) -> bytes:
    """The manifest of affine/1 whatever its model.onnx is now."""
    from google.protobuf import json_format

    text = (models / "affine" / "1" / "manifest.json").read_text()
    return json_format.Parse(text, ModelManifest()).SerializeToString()


def _why_no_cuda() -> str:
    """What is missing for a model to run on a GPU here; empty where nothing is."""
    try:
        driver, gpus = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
        present = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(gpus)) == 0 and gpus.value > 0
    except OSError:
        present = False
    if not present:
        return "no NVIDIA GPU on this machine"
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return "an NVIDIA GPU, but onnxruntime without CUDA: install onnxruntime-gpu in its place"
    return ""


@pytest.mark.skipif(bool(_why_no_cuda()), reason=_why_no_cuda() or "-")
@pytest.mark.parametrize(("kind", "features"), [("affine", 4), ("classifier", 4), ("imputed", 2), ("slow", 4)])
def test_answers_on_a_gpu_are_those_of_numpy(
    models: Path, write_model: Callable[..., Path], answer: Answer, kind: str, features: int
) -> None:
    """On CUDA, in float32 without TF32, for batches of every size."""
    write_model(kind)
    random = np.random.default_rng(3)

    async def test() -> None:
        model = _load(models, kind, provider="cuda")
        for count in (1, 64, 150, 7):
            rows = random.normal(size=(count, features)).astype(np.float32)
            if kind == "imputed":
                rows[::3, 0] = np.nan
            result = await model.batcher.submit(rows)
            np.testing.assert_allclose(result.outputs[0], answer(kind, rows), rtol=1e-5, atol=1e-5)
        await model.close()

    asyncio.run(test())
