"""Models whose right answers are known, published as by training, and a server of them as a process."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from kan_api.v1 import manifest_pb2
from kan_model import KAN, KANConfig
from kan_model.lowering import lower
from tests.kit.models.graphs import build, constant, turning
from tests.kit.server.kan_serve import FRONTENDS, Start, starter
from training.publishing.publish import publish

Rows = NDArray[np.float32]

_FEATURES = 4
_TABLE = np.array([10, 20, 30, 40], np.float32)


@dataclass(frozen=True)
class Graphs:
    """Graphs of 4 features and one output, by kind, and their right answers.

    "kan": a small network, lowered. "slow": the mean the long way round, some ten milliseconds a run; the fixture
    `gate` holds it for longer. "picky": looks the first feature up in a table of 4, and the run fails where it is none
    of 0, 1, 2, 3.
    """

    kan: KAN
    by_kind: dict[str, onnx.ModelProto]

    def answer(self, kind: str, rows: Rows) -> NDArray[np.float64]:
        """The right answers to some rows, one a row: by torch in float64, or by numpy."""
        if kind == "kan":
            with torch.no_grad():
                return np.asarray(self.kan(torch.from_numpy(rows.astype(np.float64))).numpy()[:, 0])
        return np.asarray(rows.mean(axis=1) if kind == "slow" else _TABLE[rows[:, 0].astype(int)], np.float64)

    def shifted(self, kind: str, plus: float) -> bytes:
        """A graph whose answers are those of its kind plus a number."""
        model = onnx.ModelProto()
        model.CopyFrom(self.by_kind[kind])
        for node in model.graph.node:
            node.output[:] = ["unshifted" if name == "y" else name for name in node.output]
        model.graph.node.append(helper.make_node("Add", ["unshifted", "plus"], ["y"]))
        model.graph.initializer.append(constant("plus", [plus], np.float32))
        onnx.checker.check_model(model)
        return model.SerializeToString()


@pytest.fixture(scope="session")
def graphs() -> Graphs:
    """Every kind of graph, made once."""
    kan = KAN(KANConfig((_FEATURES, 8, 1), grid_size=8), seed=0)
    lowered = lower(kan).model
    names = {lowered.graph.input[0].name: "x", lowered.graph.output[0].name: "y"}
    for node in lowered.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    lowered.graph.input[0].name, lowered.graph.output[0].name = "x", "y"
    return Graphs(kan.double(), {"kan": lowered, "slow": turning("slow"), "picky": _picky()})


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """An empty model repository."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def publish_version(models: Path, graphs: Graphs) -> Callable[..., Path]:
    """Publishes the next version of a kind's model and gives its folder.

    Call it with kind, models=None (another repository) and padding_bytes=0 (of a file more). Answers are those of the
    kind plus the version's number.
    """

    def publish_kind(kind: str, repository: Path | None = None, padding_bytes: int = 0) -> Path:
        names = [f"x{index}" for index in range(_FEATURES)]
        manifest = manifest_pb2.ModelManifest(
            name=kind,
            task=manifest_pb2.TASK_REGRESSION,
            inputs=[manifest_pb2.TensorSpec(name="x", datatype="FP32", shape=[-1, _FEATURES])],
            outputs=[manifest_pb2.TensorSpec(name="y", datatype="FP32", shape=[-1, 1])],
            columns=[manifest_pb2.Column(name=name) for name in names],
            features=[manifest_pb2.Feature(name=name, column=name, low=0, high=2) for name in names],
        )

        def files(version: int) -> dict[str, bytes]:
            padding = {"padding": bytes(padding_bytes)} if padding_bytes else {}
            return {"model.onnx": graphs.shifted(kind, version), **padding}

        return publish(repository or models, manifest, files).folder

    return publish_kind


@pytest.fixture(params=FRONTENDS)
def frontend(request: pytest.FixtureRequest) -> str:
    """Every test that starts a server runs once with each."""
    return str(request.param)


@pytest.fixture
def kan_serve(frontend: str, models: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts kan-serve on `models`; arguments are more flags, keywords more environment variables."""
    with starter(models, tmp_path, "--frontend", frontend) as start:
        yield start


def _picky() -> onnx.ModelProto:
    """A table looked up: onnxruntime fails a run whose index is outside."""
    nodes = [
        helper.make_node("Slice", ["x", "from", "to", "axis"], ["first"]),
        helper.make_node("Cast", ["first"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "index"], ["y"]),
    ]
    places = [constant(name, value) for name, value in (("from", [0]), ("to", [1]), ("axis", [1]))]
    return build("picky", nodes, [*places, constant("table", _TABLE)])
