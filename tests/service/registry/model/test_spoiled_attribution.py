"""An attribution.onnx that cannot be used: the error says why, and the model goes on predicting."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from service.errors import NotPublished
from tests.kit.models import graphs
from tests.kit.models.attributions import REFERENCE, add_attribution
from tests.kit.models.repository import WriteModel, list_files, read_manifest, write_manifest
from tests.kit.parts.attribution import Files, attribution_in, beside, load_model

_ROWS = np.random.default_rng(2).normal(size=(40, 4)).astype(np.float32)


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
        model = load_model(models, "affine", Files(models, "affine"))
        for _ in range(2):
            with pytest.raises(NotPublished, match=message) as caught:
                await attribution_in(model).submit(beside(_ROWS, REFERENCE))
            assert "kan-train tune models/affine/1" in str(caught.value)
        await model.batcher.submit(_ROWS)
        assert attribution_in(model).memory_bytes == 0
        await model.close()

    with caplog.at_level(logging.ERROR):
        asyncio.run(check())
    assert len(caplog.records) == 1
