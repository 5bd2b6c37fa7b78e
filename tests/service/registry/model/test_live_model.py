"""Live models: real onnxruntime sessions against numpy, and graphs that must be refused."""

import asyncio
import ctypes
import gc
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, ModelManifest, TargetStatistics, TensorSpec
from service.errors import Draining, ModelRefused
from service.metrics.metrics import Metrics
from service.registry.model import session as session_room
from service.registry.model.live_model import LiveModel, load
from service.registry.model.onnx_runtime import onnxruntime
from service.repository.disk import Artefact, read_version
from service.settings import Settings
from tests.kit.models.graphs import Answer
from tests.kit.models.repository import WriteModel
from tests.kit.server.gate import Gate


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
    models: Path, write_model: WriteModel, answer: Answer, kind: str, features: int
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


def test_it_says_what_it_is(models: Path, write_model: WriteModel) -> None:
    """Name, version, width and the features that allow NaN come from the manifest."""
    write_model("imputed", change=lambda manifest: manifest.features[1].ClearField("imputed"))
    model = _load(models, "imputed")
    assert (model.name, model.version, model.features) == ("imputed", 1, 2)
    assert model.imputes.tolist() == [True, False]
    assert model.manifest.task


def test_a_quick_model_runs_on_the_loop_and_a_slow_one_in_a_thread(
    gate: Gate, models: Path, write_model: WriteModel
) -> None:
    """Measured time decides where a model runs."""
    write_model("affine")
    write_model("slow")

    async def test() -> None:
        quick, slow = _load(models, "affine"), _load(models, "slow")
        assert (quick.batcher.inline, slow.batcher.inline) == (True, False)
        # The loop stays free while the slow one runs.
        with gate.closed():
            task = asyncio.create_task(slow.batcher.submit(np.zeros((64, 4), np.float32)))
            for _ in range(100):
                await asyncio.sleep(0)
            assert not task.done()
        await task
        await quick.close()
        await slow.close()

    asyncio.run(test())


def test_a_closed_model_takes_nothing(models: Path, write_model: WriteModel) -> None:
    """close() ends a model; twice is fine."""
    write_model("slow")

    async def test() -> None:
        model = _load(models, "slow")
        await model.close()
        await model.close()
        with pytest.raises(Draining):
            await model.batcher.submit(np.zeros((1, 4), np.float32))

    asyncio.run(test())


@pytest.mark.parametrize(("preferred_rows", "wanted"), [(0, 512), (16, 16), (1024, 512)])
def test_preferred_rows_bound_the_block(
    models: Path, write_model: WriteModel, preferred_rows: int, wanted: int
) -> None:
    """The block that the graph was tuned for is used if it is smaller; 0 means that none was measured."""
    write_model("affine", change=lambda manifest: setattr(manifest, "preferred_rows", preferred_rows))
    assert _load(models, "affine").batcher.max_batch_rows == wanted


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda manifest: setattr(manifest, "preferred_rows", -5), "-5 for preferred_rows"),
        (lambda manifest: setattr(manifest.network, "degree", -1000), "gives -1000 for network.degree"),
        (lambda manifest: setattr(manifest.network, "grid_size", -1), "gives -1 for network.grid_size"),
        (lambda manifest: manifest.network.width.extend([4, -2, 1]), "gives -2 for network.width"),
        (lambda manifest: manifest.network.levels.add(sums=-3), "gives -3 for network.levels"),
        (lambda manifest: manifest.network.convolutions.add(padding=-1), "gives -1 for network.convolutions"),
    ],
)
def test_a_count_below_zero_is_refused_by_name(
    models: Path, write_model: WriteModel, change: Callable[[ModelManifest], object], message: str
) -> None:
    """Every count that the server computes with."""
    write_model("affine", change=change)
    with pytest.raises(ModelRefused, match=message):
        _load(models, "affine")


def test_a_pooling_that_does_not_exist_is_refused(models: Path, write_model: WriteModel) -> None:
    """Its name reaches terminals, so it cannot be any text; the message shows escape sequences as text."""
    write_model("affine", change=lambda manifest: manifest.network.convolutions.add(pool="\x1b[2J"))
    with pytest.raises(ModelRefused, match=r"gives pool '\\x1b\[2J', wanted none, average or max"):
        _load(models, "affine")


def test_its_bounds_are_told_to_the_metrics(models: Path, write_model: WriteModel) -> None:
    """Setting and version limit the rows of a run; the setting limits the rows that may wait."""
    write_model("affine", change=lambda manifest: setattr(manifest, "preferred_rows", 16))
    metrics = Metrics()
    load(read_version(models, "affine", 1), Settings(max_queue_rows=5000), metrics).report()
    bound = metrics.model("affine", "1")
    assert (bound.batch_limit_rows, bound.queue_limit_rows) == (16, 5000)


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="CUDA may work here")
def test_where_it_runs_is_told_to_the_metrics(models: Path, write_model: WriteModel) -> None:
    """The provider of the session, not that of the setting."""
    write_model("affine")
    metrics = Metrics()
    asked = Settings(provider="cuda", allow_fallback=True)
    model = load(read_version(models, "affine", 1), asked, metrics)
    model.report()
    metrics.model_ready("affine", 1, ready=True, owner=model)
    assert metrics.model("affine", "1").provider == "cpu"
    labels = {"model": "affine", "version": "1", "provider": "cpu"}
    assert metrics.registry.get_sample_value("kan_model_info", labels) == 1


def test_bytes_that_are_no_graph_are_refused(models: Path, write_model: WriteModel) -> None:
    """If onnxruntime cannot open the bytes, the refusal has its reason."""
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
    models: Path, write_model: WriteModel, change: Callable[[onnx.ModelProto], object], match: str
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


def test_a_graph_that_fails_at_warm_up_is_refused(models: Path, write_model: WriteModel) -> None:
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
        (lambda manifest: manifest.features.add(name="more"), "5 features"),
        (lambda manifest: setattr(manifest.inputs[0], "datatype", "FP64"), "FP64"),
        (lambda manifest: manifest.ClearField("columns"), "0 features"),
        (lambda manifest: setattr(manifest.features[2], "column", "other"), "number 3 differs"),
        (lambda manifest: manifest.columns[2].statistics.SetInParent(), "0 numbers for 0 words, wanted 0 each"),
        (lambda manifest: _by_target(manifest, [1, 2, 3], [1]), "3 numbers for 2 words, wanted 1 each"),
        (lambda manifest: _by_target(manifest, [1, np.inf], [1]), "not finite"),
        (lambda manifest: _by_target(manifest, [1, 2, 3, 4], [1, 2]), "5 features by its columns and 4"),
        (lambda manifest: manifest.columns[2].date.SetInParent(), "6 features by its columns and 4"),
        (lambda manifest: manifest.ClearField("task"), "no task"),
        (lambda manifest: setattr(manifest, "task", TASK_CLASSIFICATION), r"0 classes"),
        (lambda manifest: manifest.outputs[0].shape.append(1), r"wanted FP32 \[-1, columns\]"),
        (lambda manifest: manifest.outputs.append(TensorSpec(name="z", datatype="FP32", shape=[-1, 1])), "'z'"),
    ],
)
def test_a_manifest_that_describes_no_matrix_is_refused(
    models: Path, write_model: WriteModel, change: Callable[[ModelManifest], object], match: str
) -> None:
    """One FP32 matrix in, FP32 matrices out, columns that are the features, a task, a class for each probability."""
    write_model("affine", change=change)
    with pytest.raises(ModelRefused, match=match):
        load(read_version(models, "affine", 1), Settings(), Metrics())


def _by_target(manifest: ModelManifest, values: list[float], prior: list[float]) -> None:
    """Make the third column one of two words that are encoded by these numbers."""
    manifest.columns[2].statistics.MergeFrom(TargetStatistics(words=["a", "b"], values=values, prior=prior))


def test_numbers_of_words_are_served(models: Path, write_model: WriteModel) -> None:
    """A column of words by target statistics is one of numbers to the server, whatever its features are called."""

    def change(manifest: ModelManifest) -> None:
        _by_target(manifest, [1, 2], [1.5])
        manifest.features[2].category = "class"

    write_model("affine", change=change)
    assert _load(models, "affine").features == 4


def test_ranges_without_numbers_do_not_stop_the_warm_up(models: Path, write_model: WriteModel) -> None:
    """NaN, infinite or huge feature ranges in a manifest are no reason to fail."""

    def change(manifest: ModelManifest) -> None:
        manifest.features[0].low = float("nan")
        manifest.features[1].low, manifest.features[1].high = float("-inf"), float("inf")
        manifest.features[2].high = 1e300

    write_model("affine", change=change)
    assert _load(models, "affine").batcher.inline


def test_a_row_must_fit_into_a_message(models: Path, write_model: WriteModel) -> None:
    """A version that no caller can ask, or whose manifest no client can get, is refused with the setting's name."""
    write_model("affine", change=lambda manifest: manifest.outputs[0].shape.__setitem__(1, 60_000))
    write_model("classifier", change=lambda manifest: setattr(manifest, "recipe", "#" * 5000))
    for kind, reason in (
        ("affine", "one row takes 240000 bytes of a message, --max-message-bytes allows 4096"),
        ("classifier", r"the manifest, which clients ask for, takes 5\d\d\d bytes of a message, --max-message-bytes"),
    ):
        with pytest.raises(ModelRefused, match=reason) as caught:
            _load(models, kind, max_message_bytes=4096)
        assert caught.value.kind == "size"


def test_an_artefact_of_any_width_makes_no_array(models: Path, write_model: WriteModel) -> None:
    """A width of 2^40 or 2^62 and a graph that leaves it open: refused before anything of that size is made."""
    write_model("affine")
    artefact = read_version(models, "affine", 1)
    for width in (2**40, 2**62):
        artefact.manifest.outputs[0].shape[1] = width
        _refused(_with_graph(artefact, lambda graph: graph.graph.output[0].ClearField("type")), "size", "one row takes")


@pytest.mark.parametrize("width", [1, 3, 50_000])
def test_a_width_that_only_a_run_tells_is_checked(models: Path, write_model: WriteModel, width: int) -> None:
    """A graph that leaves its width open and gives four columns: refused at warm-up, whatever the manifest promises."""
    write_model("affine", change=lambda manifest: manifest.outputs[0].shape.__setitem__(1, width))

    def leave_open(graph: onnx.ModelProto) -> None:
        del graph.graph.node[:], graph.graph.initializer[:]
        graph.graph.node.append(onnx.helper.make_node("Neg", ["x"], ["y"]))
        for tensor in (graph.graph.input[0], graph.graph.output[0]):
            tensor.type.tensor_type.shape.dim[1].dim_param = f"{tensor.name} columns"

    _refused(_with_graph(read_version(models, "affine", 1), leave_open), "run", "fails on 1 rows")


def test_a_batch_is_no_larger_than_a_message(models: Path, write_model: WriteModel) -> None:
    """A wide model takes fewer rows a run: rows x columns x 4 bytes stay within max_message_bytes."""
    write_model("affine")
    assert _load(models, "affine", max_message_bytes=2048).batcher.max_batch_rows == 2048 // (4 * 4)


def test_bytes_of_onnxruntimes_own_format_are_refused(models: Path, write_model: WriteModel, tmp_path: Path) -> None:
    """Only ONNX is searched for external data, so only ONNX is opened."""
    write_model("affine")
    artefact = read_version(models, "affine", 1)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(artefact.model_bytes, options, providers=["CPUExecutionProvider"])
    content = (tmp_path / "model.ort").read_bytes()
    assert onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).get_inputs()
    _refused(replace(artefact, model_bytes=content), "graph", "does not open")


def test_what_onnxruntime_says_is_cut(models: Path, write_model: WriteModel) -> None:
    """Names of a graph may be as long as they like; a reason holds their beginnings."""
    write_model("affine")

    def rename(graph: onnx.ModelProto) -> None:
        graph.graph.node[0].op_type = "Z" * 100_000

    with pytest.raises(ModelRefused, match="open") as caught:
        load(_with_graph(read_version(models, "affine", 1), rename), Settings(), Metrics())
    assert len(str(caught.value)) <= 1000


def _why_no_cuda() -> str:
    """The reason why a model cannot run on a GPU here; empty if it can."""
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
    models: Path, write_model: WriteModel, answer: Answer, kind: str, features: int
) -> None:
    """On CUDA, in float32 without TF32, for batches of every size."""
    write_model(kind)
    random = np.random.default_rng(3)

    async def test() -> None:
        model = _load(models, kind, provider="cuda")
        assert model.metrics.provider == "cuda"
        for count in (1, 64, 150, 7):
            rows = random.normal(size=(count, features)).astype(np.float32)
            if kind == "imputed":
                rows[::3, 0] = np.nan
            result = await model.batcher.submit(rows)
            np.testing.assert_allclose(result.outputs[0], answer(kind, rows), rtol=1e-5, atol=1e-5)
        await model.close()

    asyncio.run(test())


@pytest.mark.parametrize(("strategies", "rows"), [(["segments"], 65536), ([], 1024)], ids=["large", "foreign"])
def test_memory_goes_back_to_the_system(
    models: Path, write_model: WriteModel, strategies: Sequence[str], rows: int
) -> None:
    """A run needs 134 MB. Less than half of it is held after the model is closed, whatever its manifest lets expect."""

    def widen(graph: onnx.ModelProto) -> None:
        constants = {"times": [1, 128 * 65536 // rows], "first": [0, 1, 2, 3]}
        graph.graph.initializer.extend(onnx.numpy_helper.from_array(np.array(v), k) for k, v in constants.items())
        graph.graph.node[0].input[0] = "same"
        graph.graph.node.insert(0, onnx.helper.make_node("Gather", ["many", "first"], ["same"], axis=1))
        graph.graph.node.insert(0, onnx.helper.make_node("Tile", ["x", "times"], ["many"]))

    write_model("affine")
    artefact = _with_graph(read_version(models, "affine", 1), widen)
    artefact.manifest.lowering.strategies.extend(strategies)
    process = psutil.Process()

    async def test() -> None:
        before = process.memory_info().rss
        model = load(artefact, Settings(max_batch_rows=rows), Metrics())
        held = process.memory_info().rss - before
        await model.close()
        del model
        gc.collect()
        assert process.memory_info().rss - before < held / 2
        assert held > 100e6

    asyncio.run(test())


def test_a_small_model_of_ours_shares_memory(
    models: Path, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session takes the memory of runs from the arena of all such sessions."""
    shares: list[str] = []

    def open_session(*arguments: Any, **options: Any) -> Any:
        session = session_room.open_session(*arguments, **options)
        shares.append(session.get_session_options().get_session_config_entry("session.use_env_allocators"))
        return session

    monkeypatch.setattr("service.registry.model.live_model.open_session", open_session)
    write_model("affine")
    artefact = read_version(models, "affine", 1)

    async def test() -> None:
        artefact.manifest.lowering.strategies.append("segments")
        await load(artefact, Settings(), Metrics()).close()

    asyncio.run(test())
    assert shares == ["1"]
