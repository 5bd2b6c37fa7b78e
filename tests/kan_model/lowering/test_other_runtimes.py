"""Graphs answer the same wherever they run: onnx's reference evaluator, OpenVINO, and onnxruntime-web under Node."""

import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from kan_model import KAN, KANConfig
from kan_model.grids.refinement import replace_knots
from kan_model.lowering import lower
from kan_model.network.layer import Outside
from kan_model.network.transform import Affine, Exponential, InputTransform, OutputTransform, Softmax
from kan_model.onnx_runtime import run

Rows = NDArray[np.float32]

WIDTH = (5, 4, 3)
INPUTS = InputTransform(
    center=np.array([10, -2, 0, 0.5, 300], np.float32),
    scale=np.array([0.1, 2, 1, 4, 0.01], np.float32),
    imputed=np.array([11, np.nan, 0.25, 0.5, 310], np.float32),
)
OUTPUTS: dict[str, OutputTransform] = {
    "classification": Softmax(),
    "regression": Affine(center=np.array([100, -5, 0], np.float32), scale=np.array([30, 0.1, 2], np.float32)),
    "log-link": Exponential(center=np.array([7, -5, 0], np.float32), scale=np.array([0.5, 0.1, 1], np.float32)),
}


@dataclass(frozen=True)
class Case:
    """A lowered network, rows for it, and what onnxruntime answers."""

    model: onnx.ModelProto
    rows: Rows
    answers: Rows


def uniform(outside: Outside) -> KAN:
    """A KAN whose grids are uniform, over domains of other sizes and places."""
    domain = tuple((-1.0 - i / 2, 1.0 + i / 3) for i in range(WIDTH[0]))
    return with_trained_look(KAN(KANConfig(WIDTH, outside=outside, domain=domain), seed=0))


def uneven(outside: Outside) -> KAN:
    """A KAN whose first layer has knots at uneven distances, other ones for each input."""
    kan = uniform(outside)
    first = kan.layers[0]
    steps = torch.rand(first.all_knots().shape, generator=torch.Generator().manual_seed(1)) + 0.2
    return with_trained_look(KAN.of_layers([replace_knots(first, torch.cumsum(steps, dim=1) - 4), *kan.layers[1:]]))


def with_trained_look(kan: KAN) -> KAN:
    """Smooth coefficients of size one, as training leaves them: a wave along each edge's grid."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for layer in kan.layers:
            phase, speed = (torch.rand(*layer.coefficients.shape[:2], 1, generator=generator) for _ in range(2))
            steps = torch.arange(layer.coefficients.shape[-1])
            layer.coefficients.copy_(torch.sin(speed * steps + 6 * phase) / layer.inputs)
    return kan


# One of each kind that a strategy may be written for.
NETWORKS: dict[str, KAN] = {
    "clamp": uniform("clamp"),
    "decay": uniform("decay"),
    "uneven-clamp": uneven("clamp"),
    "uneven-decay": uneven("decay"),
}


@cache
def lowered(network: str, task: str) -> Case:
    """A network lowered without tuning, so that every machine tests the same graph."""
    kan = NETWORKS[network]
    model = lower(kan, inputs=INPUTS, outputs=OUTPUTS[task], tune_for=()).model
    rows = rows_for(kan)
    answers = run(model, rows)
    assert np.isfinite(answers).all()
    return Case(model, rows, answers)


@pytest.fixture(params=[(network, task) for network in NETWORKS for task in OUTPUTS], ids="-".join)
def case(request: pytest.FixtureRequest) -> Case:
    """Each network with each task."""
    return lowered(*request.param)


@pytest.mark.slow
def test_onnx_reference_evaluator(case: Case) -> None:
    """The definition of the ops, in numpy."""
    (answers,) = ReferenceEvaluator(case.model).run(None, {case.model.graph.input[0].name: case.rows})
    assert_same(np.asarray(answers), case)


def test_openvino(case: Case) -> None:
    """OpenVINO on the CPU, in float32."""
    core = import_openvino().Core()
    model = core.read_model(case.model.SerializeToString())
    # Where the processor can, OpenVINO would compute in bfloat16.
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert_same(compiled(case.rows)[0], case)


@pytest.mark.web
def test_onnxruntime_web(case: Case, tmp_path: Path) -> None:
    """WebAssembly, as in a browser."""
    model, rows, answers = (tmp_path / name for name in ("model.onnx", "rows", "answers"))
    model.write_bytes(case.model.SerializeToString())
    rows.write_bytes(case.rows.tobytes())
    script = Path(__file__).with_name("onnxruntime_web.mjs")
    command = ["node", str(script), str(model), str(rows), str(WIDTH[0]), str(answers)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert_same(np.frombuffer(answers.read_bytes(), np.float32).reshape(-1, WIDTH[-1]), case)


def assert_same(answers: Rows, case: Case) -> None:
    """Within 1e-5 of each output's range, or of the answer where that is greater: what float32 rounding may do."""
    assert answers.dtype == np.float32
    assert answers.shape == case.answers.shape
    scale = np.maximum(np.ptp(case.answers, axis=0), np.abs(case.answers))
    assert np.max(np.abs(answers - case.answers) / scale) < 1e-5


def rows_for(kan: KAN) -> Rows:
    """Raw rows that fall inside the first layer's domain, on its knots and three domains beyond; cells are missing."""
    layer = kan.layers[0]
    low, high = layer.domain.double().numpy().T
    random = np.random.default_rng(0)
    inside, far = (low + (high - low) * random.uniform(-reach, 1 + reach, (60, layer.inputs)) for reach in (0, 3))
    scaled = np.concatenate([inside, far, layer.all_knots().double().numpy().T])
    rows = (scaled / INPUTS.scale + INPUTS.center).astype(np.float32)
    assert INPUTS.imputed is not None
    rows[(random.random(rows.shape) < 0.1) & ~np.isnan(INPUTS.imputed)] = np.nan
    return rows


def import_openvino() -> Any:
    """OpenVINO, which sends statistics when it is imported, unless openvino_telemetry cannot be."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino
