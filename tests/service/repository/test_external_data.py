"""Weights outside model.onnx: from the version's own folder, listed and verified, wherever the server was started."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from service.errors import ModelRefused
from service.metrics.metrics import Metrics
from service.registry.model.live_model import load
from service.repository.disk import read_version
from service.repository.external_data import external_files
from service.settings import Settings
from tests.kit.models.graphs import Answer
from tests.kit.models.repository import WriteModel, move_weights

_ROWS = np.array([[0, 1, 2, 0.5], [3, -1, 0, 1]], np.float32)


def test_weights_beside_the_model_answer(
    models: Path, write_model: WriteModel, answer: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers are those of the version's own file, though the working directory has another of that name."""
    move_weights(write_model("affine"))
    (tmp_path / "weights.bin").write_bytes(bytes(1000))
    monkeypatch.chdir(tmp_path)

    async def test() -> None:
        model = load(read_version(models, "affine", 1), Settings(), Metrics())
        outputs = (await model.batcher.submit(_ROWS)).outputs
        np.testing.assert_allclose(outputs[0], answer("affine", _ROWS), rtol=1e-5)
        await model.close()

    asyncio.run(test())


def _unlist(folder: Path, move: Callable[..., None]) -> None:
    move(folder, listed=False)


def _change(folder: Path, move: Callable[..., None]) -> None:
    move(folder)
    content = (folder / "weights.bin").read_bytes()
    (folder / "weights.bin").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def _cut(folder: Path, move: Callable[..., None]) -> None:
    move(folder)
    (folder / "weights.bin").write_bytes(b"")


def _remove(folder: Path, move: Callable[..., None]) -> None:
    move(folder)
    (folder / "weights.bin").unlink()


def _link(folder: Path, move: Callable[..., None]) -> None:
    move(folder)
    (folder / "weights.bin").rename(folder.parent / "elsewhere")
    (folder / "weights.bin").symlink_to("../elsewhere")


def _leave_by_a_path(folder: Path, move: Callable[..., None]) -> None:
    move(folder, location="../weights.bin")


def _leave_by_the_root(folder: Path, move: Callable[..., None]) -> None:
    move(folder, location=str(folder / "weights.bin"))


@pytest.mark.parametrize(
    ("harm", "kind", "reason"),
    [
        (_unlist, "manifest", r"weights\.bin 0 times"),
        (_change, "checksum", r"weights\.bin has sha256"),
        (_cut, "checksum", r"weights\.bin has 0 bytes"),
        (_remove, "missing", r"weights\.bin is absent"),
        (_link, "missing", r"weights\.bin is no file"),
        (_leave_by_a_path, "graph", r"external data in '\.\./weights\.bin'"),
        (_leave_by_the_root, "graph", "external data in '/.*'"),
    ],
)
def test_other_weights_are_refused(
    models: Path,
    write_model: WriteModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    harm: Callable[..., None],
    kind: str,
    reason: str,
) -> None:
    """Unlisted, changed, absent, linked or outside: refused with the reason, though the working directory has them."""
    folder = write_model("affine")
    harm(folder, move_weights)
    weights = next((file for file in folder.parent.rglob("*") if file.name in ("weights.bin", "elsewhere")), None)
    (tmp_path / "weights.bin").write_bytes(weights.read_bytes() if weights else bytes(20))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelRefused, match=reason) as caught:
        read_version(models, "affine", 1)
    assert caught.value.kind == kind


def test_weights_count_in_the_bound(models: Path, write_model: WriteModel) -> None:
    """--max-model-bytes is for model.onnx and its external data together, and refuses them unread."""
    folder = write_model("affine")
    move_weights(folder)
    size = (folder / "model.onnx").stat().st_size
    assert read_version(models, "affine", 1, max_model_bytes=size + 20).external.keys() == {"weights.bin"}
    with pytest.raises(ModelRefused, match="room for 19"):
        read_version(models, "affine", 1, max_model_bytes=size + 19)


def _external(name: str = "w", data_type: int = TensorProto.FLOAT) -> TensorProto:
    tensor = TensorProto(name=name, data_type=data_type, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="weights.bin")
    return tensor


def _model(*nodes: onnx.NodeProto, initializers: tuple[TensorProto, ...] = ()) -> onnx.ModelProto:
    return helper.make_model(helper.make_graph(nodes, "test", [], [], initializers))


def _with_subgraph() -> onnx.ModelProto:
    inner = helper.make_graph([], "inner", [], [], [_external()])
    return _model(helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner))


def _with_subgraphs() -> onnx.ModelProto:
    inner = helper.make_graph([], "inner", [], [], [_external()])
    return _model(helper.make_node("Custom", ["c"], ["y"], branches=[inner]))


def _with_function() -> onnx.ModelProto:
    model = _model()
    node = helper.make_node("Constant", [], ["y"], value=_external())
    model.functions.append(helper.make_function("domain", "F", [], ["y"], [node], []))
    return model


def _with_default() -> onnx.ModelProto:
    model = _model()
    model.functions.add(name="F").attribute_proto.append(helper.make_attribute("value", _external()))
    return model


def _with_training() -> onnx.ModelProto:
    model = _model()
    model.training_info.add().algorithm.initializer.append(_external())
    return model


def _with_sparse() -> onnx.ModelProto:
    model = _model()
    model.graph.sparse_initializer.add().values.CopyFrom(_external())
    return model


def _without_location() -> onnx.ModelProto:
    tensor = _external()
    del tensor.external_data[:]
    tensor.doc_string = "location"
    return _model(initializers=(tensor,))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_with_subgraph, "outside the initializers"),
        (_with_subgraphs, "outside the initializers"),
        (_with_function, "outside the initializers"),
        (_with_default, "outside the initializers"),
        (_with_training, "outside the initializers"),
        (_with_sparse, "outside the initializers"),
        (lambda: _model(helper.make_node("Constant", [], ["y"], value=_external())), "outside the initializers"),
        (lambda: _model(helper.make_node("Custom", [], ["y"], values=[_external()])), "outside the initializers"),
        (lambda: _model(initializers=(_external(data_type=TensorProto.STRING),)), "of strings"),
        (_without_location, "0 locations"),
    ],
)
def test_data_that_onnxruntime_would_look_for_is_refused(make: Callable[[], onnx.ModelProto], reason: str) -> None:
    """It takes bytes only for initializers of the main graph.

    Anything else it would read from the working directory.
    """
    with pytest.raises(ModelRefused, match=reason):
        external_files(make().SerializeToString())


def test_a_word_is_no_reference() -> None:
    """A model that only mentions a location has no external data."""
    model = _model(initializers=(helper.make_tensor("location", TensorProto.FLOAT, [1], [1.0]),))
    assert external_files(model.SerializeToString()) == frozenset()


def test_the_walk_ends() -> None:
    """A model with external data and more than a million fields is refused, for any nesting of the fields."""
    model = _model(initializers=(_external(),)).SerializeToString()
    with pytest.raises(ModelRefused, match="fields"):
        external_files(model + b"\x08\x01" * 1_000_001)
    nested = b"\x3a\x00"  # ModelProto.graph, empty
    for _ in range(5_000):
        size = len(nested)
        nested = b"\x0a" + bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + nested
    assert external_files(model + nested) == {"weights.bin"}


@given(data=st.data())
def test_bytes_that_are_no_model_are_refused(data: st.DataObject) -> None:
    """Whatever is cut, changed or put in: plain names or a refusal, never another exception."""
    model = _with_subgraph()
    model.graph.initializer.append(_external())
    content = bytearray(model.SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=12))
    with suppress(ModelRefused):
        assert not set("/\0") & set("".join(external_files(bytes(content) + b"location")))
