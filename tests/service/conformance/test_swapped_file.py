"""A model file that is swapped between the look at its sha256 and the opening of its graph."""

import os
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from tests.kit.callers.load import connected
from tests.kit.callers.protocols import KanApi
from tests.kit.models.graphs import Answer
from tests.kit.models.repository import WriteModel
from tests.kit.server.gate import Gate
from tests.kit.server.kan_serve import KanServe, Start
from tests.kit.waiting import wait_for

_ROWS = np.array([[1, 2, 3, 4], [4, 3, 2, 2]], np.float32)


def test_the_bytes_that_were_verified_answer(
    gate: Gate, start: Start, write_model: WriteModel, answer: Answer, tmp_path: Path
) -> None:
    """The server that has verified a file answers with those bytes. A server that starts later refuses the other ones,
    though they have the same size.
    """
    write_model("affine")
    right = answer("affine", _ROWS).ravel().tolist()
    server = start("--poll-seconds", "0.1")
    with gate.opening.closed():
        folder = write_model("affine", version=2)
        wait_for(gate.opening.is_reached, "the opening of version 2")
        _swap(folder / "model.onnx", tmp_path / "other.onnx")
    wait_for(lambda: server.sample("kan_model_ready", model="affine", version="2") == 1, "version 2")
    assert _answered(server) == (2, right)
    assert server.stop()[0] == 0
    again = start()
    assert _answered(again) == (1, right)
    assert again.sample("kan_model_refused_total", version="2", reason="checksum") == 1


def _swap(file: Path, other: Path) -> None:
    """Put a valid graph of the same size with other weights in the place of a file."""
    model = onnx.load(file)
    for tensor in model.graph.initializer:
        tensor.raw_data = (numpy_helper.to_array(tensor) + np.float32(1)).tobytes()
    other.write_bytes(model.SerializeToString())
    assert other.stat().st_size == file.stat().st_size
    os.replace(other, file)


def _answered(server: KanServe) -> tuple[int, list[float]]:
    """The version and the values of an answer."""
    with connected(server.grpc) as predict:
        _, version, values = KanApi.answer(predict(KanApi.request("affine", _ROWS), timeout=60))
        return version, values.tolist()
