"""From a table of images to a version that answers over gRPC."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from rich.console import Console

from kan_api.v1 import prediction_pb2 as pb
from kan_model.onnx_runtime import run as run_model
from kan_model.vision import checkpoint
from kan_model.vision.image_kan import ImageKAN
from open_inference import grpc_predict_v2_pb2 as oip
from tests.kit.callers.calls import matrix
from tests.kit.models.bars import RECIPE, write_bars
from tests.kit.server.kan_serve import FRONTENDS, KanServe, serving
from training.errors import TrainingError
from training.pipelines.progress import ProgressBar
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder
from training.pipelines.train import train
from training.pipelines.tune import tune
from training.pipelines.watcher import Watcher
from training.publishing.publish import Published
from training.recipe.config import parse_recipe
from training.report.summary import of_run

Rows = NDArray[Any]


def _run(folder: Path, text: str = RECIPE, **options: bool) -> Run:
    recipe = parse_recipe(text, folder=folder, name="bars.toml")
    return Run(recipe, folder / "models", RunFolder(folder / "run"), **options)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A version of the recipe."""
    folder = tmp_path_factory.mktemp("bars")
    write_bars(folder)
    return train(_run(folder), Watcher())


@pytest.fixture(scope="module", params=FRONTENDS)
def server(
    request: pytest.FixtureRequest, published: Published, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KanServe]:
    """It, served by each front end."""
    log = tmp_path_factory.mktemp("served") / "log"
    with serving(published.folder.parent.parent, "--frontend", str(request.param), log=log) as started:
        yield started


def _ask(channel: grpc.Channel, method: str, request: Any) -> bytes:
    call: Any = channel.unary_unary(method)
    answer: bytes = call(request.SerializeToString(), timeout=60)
    return answer


def _rows() -> Rows:
    return np.random.default_rng(1).uniform(0, 240, (6, 12)).astype(np.float32)


def _wanted(published: Published, rows: Rows) -> Rows:
    content = (published.folder / "network.safetensors").read_bytes()
    image = checkpoint.from_bytes(content)
    assert isinstance(image, ImageKAN)
    inputs, outputs = checkpoint.transforms(content)
    assert inputs is not None
    assert outputs is not None
    with torch.no_grad():
        answers: Rows = outputs(image.double()(inputs(torch.from_numpy(rows).double()))).numpy()
    return answers


def test_the_version_is_the_network_on_images(published: Published) -> None:
    """model.onnx is within 1e-5 of the saved network in float64; the manifest tells the image and what was learned."""
    rows = _rows()
    found = run_model(onnx.load(published.folder / "model.onnx"), rows)
    np.testing.assert_allclose(found, _wanted(published, rows), rtol=0, atol=1e-5)
    manifest = published.manifest
    assert list(manifest.image_shape) == [1, 3, 4]
    assert manifest.metrics["test_accuracy"] >= 0.7
    # Taps · channels · (channels of a group) · (7 coefficients + base), and 2 · 2 · 2 nodes to 2 classes.
    assert manifest.network.parameters == (9 * 2 + 9 * 2 + 8 * 2) * 8
    assert {"explain.onnx", "attribution.onnx", "report.html"} <= {file.name for file in manifest.files}


def test_people_read_what_it_is(published: Published) -> None:
    """The summary and the report tell image, convolutions and the functions that they share, not the flat network."""
    shape = (
        "image 1 × 3 × 4, convolutions 2 × 3 × 4 (kernel 3, stride 1, padding 1), "
        "2 × 2 × 2 (kernel 3, stride 2, padding 1, groups 2), then [8, 2]"
    )
    (line,) = (line for line in of_run(published, Path("rows.csv")).splitlines() if "network " in line)
    assert line.strip() == f"network   {shape}, input grid 4, degree 3, 416 parameters, 52 learned functions"
    report = (published.folder / "report.html").read_text(encoding="utf-8")
    assert f"KAN {shape}, 416 parameters, 52 learned functions" in report
    assert "<td>convolution 2</td>" in report
    assert "of the first convolution" in report


def test_nodes_that_multiply_may_stand_behind_the_convolutions(tmp_path: Path) -> None:
    """`hidden` is a pair as in a flat network; the graph is that of the saved network, the summary tells the pair."""
    write_bars(tmp_path)
    text = RECIPE.replace("hidden = []", "hidden = [[1, 2]]\narity = 3").replace("steps = 12", "steps = 2")
    found = train(_run(tmp_path, text.replace("tune_for = [1]", "tune_for = []")), Watcher())
    rows = _rows()
    answers = run_model(onnx.load(found.folder / "model.onnx"), rows)
    np.testing.assert_allclose(answers, _wanted(found, rows), rtol=0, atol=1e-5)
    assert "then [8, [1, 2], 2], arity 3, input grid 4" in of_run(found, Path("rows.csv"))


def test_a_refit_trains_on_the_validation_rows_too(tmp_path: Path) -> None:
    """On images that move; the validation metrics stay those of the fit before. The terminal shows each grid's loss."""
    write_bars(tmp_path)
    more = "refit_with_validation = true\nlabel_smoothing = 0.05\n[augment]\nshift = 0.2\nrotation = 5\nzoom = 0.05\n"
    run, file = _run(tmp_path, RECIPE.replace("[lowering]", f"{more}[lowering]")), io.StringIO()
    with ProgressBar(run.recipe, Console(file=file, width=200)) as progress:
        twice = train(run, progress)
    data, metrics = twice.manifest.data, twice.manifest.metrics
    parts = data.train_rows - data.validation_rows, data.validation_rows, data.test_rows
    assert sum(parts) == 120
    assert min(parts) >= 18
    lines = file.getvalue().splitlines()
    assert [line.split("  ")[0] for line in lines if line.startswith("grid")] == ["grid 2", "grid 4"]
    assert f"refit: {data.train_rows} rows train now, those of validation too" in lines
    assert any(line.startswith("refit: loss 0.") and line.endswith(" after 24 steps") for line in lines)
    kept = [float(score) for line in lines for score in re.findall(r"accuracy (\S+) (?:after|before)", line)]
    assert min(abs(metrics["validation_accuracy"] - score) for score in kept) < 1e-4
    assert any(
        note.startswith("refit     the published network trained on the validation rows") for note in twice.notes
    )
    # Both are of the fit before, so no report takes the refit for one that overfits.
    assert data.validation_trained
    assert [metrics[f"train_{name}"] for name in ("accuracy", "log_loss")] != [1.0, 0.0]
    report = (twice.folder / "report.html").read_text(encoding="utf-8")
    assert "of these, rows that judged the fit before the refit" in report
    assert "training rows, the fit before the refit" in report
    assert "overfits" not in report


def test_pixels_of_a_channel_are_scaled_alike(published: Published) -> None:
    """0 is the smallest training value, which is the padding too, and 1 the largest."""
    inputs, _ = checkpoint.transforms((published.folder / "network.safetensors").read_bytes())
    assert inputs is not None
    assert len(set(inputs.center.tolist())) == len(set(inputs.scale.tolist())) == 1
    lows, highs = ([getattr(each, end) for each in published.manifest.features] for end in ("low", "high"))
    assert inputs.center[0] == pytest.approx(min(lows))
    assert 1 / inputs.scale[0] == pytest.approx(max(highs) - min(lows))


def test_it_is_answered_over_grpc(server: KanServe, published: Published) -> None:
    """Images and flat rows over the Open Inference Protocol, flat rows by Predict; the metadata lists the image."""
    rows = _rows()
    wanted = _wanted(published, rows)
    with grpc.insecure_channel(server.grpc) as channel:
        for shape in ((6, 1, 3, 4), (6, 12)):
            infer = oip.ModelInferRequest(
                model_name="bars",
                inputs=[{"name": "features", "datatype": "FP32", "shape": shape}],
                raw_input_contents=[rows.tobytes()],
            )
            raw = _ask(channel, "/inference.GRPCInferenceService/ModelInfer", infer)
            found = oip.ModelInferResponse.FromString(raw).raw_output_contents[0]
            np.testing.assert_allclose(np.frombuffer(found, "<f4").reshape(6, 2), wanted, rtol=0, atol=1e-5)
        request = oip.ModelMetadataRequest(name="bars")
        listed = _ask(channel, "/inference.GRPCInferenceService/ModelMetadata", request)
        assert list(oip.ModelMetadataResponse.FromString(listed).inputs[0].shape) == [-1, 1, 3, 4]
        predict = pb.PredictRequest(model="bars", features=matrix(rows))
        raw = _ask(channel, "/kan_api.v1.PredictionService/Predict", predict)
        values = pb.PredictResponse.FromString(raw).outputs[0].values.raw
        np.testing.assert_allclose(np.frombuffer(values, "<f4").reshape(6, 2), wanted, rtol=0, atol=1e-5)


def test_what_a_version_of_images_cannot(published: Published) -> None:
    """It is not tuned and not trained further; the message says what it is. --resume is refused too."""
    folder = published.folder.parents[2]
    with pytest.raises(TrainingError, match="a network on images"):
        tune(published.folder)
    text = RECIPE.replace('name = "bars"', f'name = "bars"\ncontinue_from = "{published.folder}"')
    for section in ("[image]\nheight = 3\nwidth = 4\n", "grids = [2, 4]\n"):
        text = text.replace(section, "")
    text = text[: text.index("[network]")] + text[text.index("[fit]") :]
    with pytest.raises(TrainingError, match="a network on images"):
        train(_run(folder, text), Watcher())
    with pytest.raises(TrainingError, match="--resume: not with"):
        train(_run(folder, resume=True), Watcher())
