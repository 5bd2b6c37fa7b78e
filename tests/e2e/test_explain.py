"""Explanations of trained networks on their whole way: trained, published, served on each front end, asked for."""

import asyncio
import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pytest
import torch

from open_inference import grpc_predict_v2_pb2 as oip
from service.client import AsyncClient, Client, Explanation, NotPublished
from tests.kit.models.digits import BIN
from tests.kit.server.kan_serve import FRONTENDS, KanServe, serving
from tests.kit.waiting import wait_for

_HOUSES = """
[model]
name = "houses"
[data]
path = "houses.csv"
target = "price"
columns = ["rooms", "age", "colour", "built"]
missing = "indicator"
[data.categories]
colour = ["red", "blue", "green"]
[data.dates]
built = "iso"
[task]
kind = "regression"
target_scale = "log"
[network]
hidden = [4]
[fit]
optimizer = "lbfgs"
grids = [4]
steps = 15
[lowering]
tune_for = []
"""
_KINDS = """
[model]
name = "kinds"
[data]
path = "kinds.csv"
target = "kind"
columns = ["a", "b", "c", "idle"]
[task]
kind = "classification"
[network]
hidden = [3]
[fit]
optimizer = "lbfgs"
grids = [3]
steps = 15
[lowering]
tune_for = []
"""

_AREAS = """
[model]
name = "areas"
[data]
path = "areas.csv"
target = "area"
columns = ["length", "width"]
[task]
kind = "regression"
[network]
hidden = [[0, 1]]
[fit]
optimizer = "levenberg-marquardt"
grids = [3]
steps = 100
seed = 1
[lowering]
tune_for = []
"""


def _areas() -> pd.DataFrame:
    sides = np.random.default_rng(2).uniform(-1, 1, (400, 2)).round(4)
    return pd.DataFrame(sides, columns=["length", "width"]).assign(area=sides[:, 0] * sides[:, 1])


def _table() -> pd.DataFrame:
    random = np.random.default_rng(0)
    rows = 300
    rooms, age = random.integers(2, 9, rows).astype(float), random.uniform(0, 60, rows)
    colour = random.choice(["red", "blue", "green"], rows, p=[0.2, 0.5, 0.3])
    built = pd.date_range("2020-01-01", periods=rows, freq="D").strftime("%Y-%m-%d")
    price = np.exp(0.2 * rooms - 0.01 * age + 0.3 * (colour == "red") + 0.001 * np.arange(rows))
    rooms[random.uniform(size=rows) < 0.2] = np.nan
    return pd.DataFrame({"rooms": rooms, "age": age.round(2), "colour": colour, "built": built, "price": price})


def _kinds() -> pd.DataFrame:
    random = np.random.default_rng(1)
    kind = random.choice(["low", "middle", "high"], 240)
    shift = pd.Series(kind).map({"low": -1.0, "middle": 0.0, "high": 1.0}).to_numpy()
    numbers = random.normal(size=(240, 3)) + np.stack([shift, shift**2, 0 * shift], axis=1)
    return pd.DataFrame(numbers.round(3), columns=["a", "b", "c"]).assign(idle=7.0, kind=kind)


def _records() -> list[dict[str, Any]]:
    """Some rows of the table, one of them with a gap, and one from nowhere."""
    table = _table().drop(columns="price")
    gap = int(np.flatnonzero(table.rooms.isna())[0])
    chosen = table.iloc[[0, 1, 2, gap]].astype(object).where(table.notna(), None).to_dict("records")
    found = [{str(name): cell for name, cell in row.items()} for row in chosen]
    return [*found, {**found[0], "age": 500.0}]


def _kan_train(folder: Path, *arguments: str) -> None:
    done = subprocess.run([BIN / "kan-train", *arguments], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Houses (gaps, words, dates, a log scale), kinds (three classes), areas (a product), an import without a table."""
    folder = tmp_path_factory.mktemp("explain")
    _table().to_csv(folder / "houses.csv", index=False)
    _kinds().to_csv(folder / "kinds.csv", index=False)
    _areas().to_csv(folder / "areas.csv", index=False)
    for name, recipe in (("houses", _HOUSES), ("kinds", _KINDS), ("areas", _AREAS)):
        (folder / f"{name}.toml").write_text(recipe)
        _kan_train(folder, "run", f"{name}.toml", "--models", "models", "--runs", "runs")
    random = torch.Generator().manual_seed(0)
    state = {}
    for index, (inputs, outputs) in enumerate(((2, 4), (4, 3))):
        state[f"layers.{index}.grid"] = (torch.arange(-3, 9) * 0.4 - 1).expand(inputs, -1).contiguous()
        state[f"layers.{index}.base_weight"] = torch.randn(outputs, inputs, generator=random)
        state[f"layers.{index}.spline_weight"] = 0.2 * torch.randn(outputs, inputs, 8, generator=random)
    torch.save(state, folder / "net.pt")
    _kan_train(folder, "import", "efficient-kan", "net.pt", "--name", "imported", "--tune-for", "none")
    return folder / "models"


@pytest.fixture(params=FRONTENDS, scope="module")
def server(
    models: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KanServe]:
    """A kan-serve of them, with each front end."""
    log = tmp_path_factory.mktemp("log") / "log"
    with serving(models, "--frontend", request.param, log=log, program=[str(BIN / "kan-serve")]) as started:
        yield started


def _adds_up(found: Explanation) -> None:
    """As the issue bounds it: within 1e-5 of the sum of the sizes, here also of the largest answer."""
    sizes = np.maximum(np.abs(found.contributions).sum(axis=2), np.abs(found.explained).max())
    differences = found.contributions.astype(np.float64).sum(axis=2) - (
        found.explained.astype(np.float64) - found.baseline
    )
    assert (np.abs(differences) <= 1e-5 * sizes).all()


def test_a_regression_with_gaps_words_and_dates(server: KanServe) -> None:
    """Explained are the served answers, and the baseline is the answer to the reference; columns are the table's."""
    records = _records()
    with Client(server.grpc, 60) as client:
        answers = client.predict("houses", records).values
        for reference in (None, records[1], records[::-1]):
            found = client.explain("houses", records, reference=reference)
            assert found.columns == ("rooms", "age", "colour", "built")
            assert found.outputs == ("price",)
            assert not found.explains_scores
            _adds_up(found)
            np.testing.assert_allclose(found.explained, answers, rtol=1e-4)
        np.testing.assert_allclose(found.baseline, answers[::-1], rtol=1e-4)
        assert found.ground.is_known
        assert [(cell.row, cell.column) for cell in found.ground.cells if cell.value == 500] == [(4, "age")]
        itself = client.explain("houses", records, reference=records)
        assert np.abs(itself.contributions).max() <= 1e-5 * np.abs(answers).max()
        manifest = client.manifest("houses").attribution_graph
        assert not manifest.from_histograms
        own = np.array(manifest.reference, np.float32)
        default = client.explain("houses", records)
        np.testing.assert_allclose(default.baseline, client.predict("houses", own).values, rtol=1e-4)


def test_classes_by_their_scores(server: KanServe) -> None:
    """The softmax of the explained scores is the answer, for each of twenty rows."""
    rows = _kinds()[["a", "b", "c", "idle"]].to_numpy()[:20]
    with Client(server.grpc, 60) as client:
        found = client.explain("kinds", rows)
        assert found.explains_scores
        assert (found.contributions[:, :, 3] == 0).all(), "the constant column makes no difference"
        assert found.ground.unknown_rows == 0
        assert sorted(found.outputs) == ["high", "low", "middle"]
        _adds_up(found)
        powers = np.exp(found.explained - found.explained.max(axis=1, keepdims=True))
        probabilities = powers / powers.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(probabilities, client.predict("kinds", rows).values, atol=1e-5)


def test_a_node_that_multiplies(server: KanServe) -> None:
    """A product learned by one such node: the answers, and the Shapley values of a product."""
    rows = np.array([[0.5, -0.8], [-0.25, 0.75], [0.9, 0.9]], np.float32)
    reference = np.array([[0.2, 0.4]], np.float32)
    x, r = rows.astype(np.float64), reference.astype(np.float64)
    with Client(server.grpc, 60) as client:
        assert list(client.manifest("areas").network.width) == [2, 1, 1]
        np.testing.assert_allclose(client.predict("areas", rows).values[:, 0], x[:, 0] * x[:, 1], atol=0.02)
        found = client.explain("areas", rows, reference=reference)
    _adds_up(found)
    wanted = (x - r) * (x + r)[:, ::-1] / 2
    np.testing.assert_allclose(found.contributions[:, 0], wanted, atol=0.03)


def test_an_import_without_a_table(server: KanServe) -> None:
    """Contributions come, of the features, and nothing is known of the ground."""
    rows = np.random.default_rng(1).uniform(-1, 1, (5, 2)).astype(np.float32)
    with Client(server.grpc, 60) as client:
        found = client.explain("imported", rows)
        assert found.contributions.shape == (5, 3, 2)
        assert not found.ground.is_known
        _adds_up(found)
        np.testing.assert_allclose(found.explained, client.predict("imported", rows).values, atol=1e-4)


async def _explain_with_asyncio(address: str, records: list[dict[str, Any]]) -> Explanation:
    async with AsyncClient(address) as client:
        return await client.explain("houses", records)


def test_every_way_gives_the_same(server: KanServe, models: Path, request: pytest.FixtureRequest) -> None:
    """gRPC, asyncio, named outputs of the Open Inference Protocol, the command, and JSON behind Envoy."""
    records = _records()
    with Client(server.grpc, 60) as client:
        found = client.explain("houses", records)
        manifest = client.manifest("houses")
    again = asyncio.run(_explain_with_asyncio(server.grpc, records))
    np.testing.assert_array_equal(again.contributions, found.contributions)
    reference = np.array(manifest.attribution_graph.reference, np.float32)[np.newaxis]
    with grpc.insecure_channel(server.grpc) as channel:
        infer: Any = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            oip.ModelInferRequest.SerializeToString,
            oip.ModelInferResponse.FromString,
        )
        tensor = {"name": manifest.inputs[0].name, "datatype": "FP32", "shape": reference.shape}
        answer = infer(
            oip.ModelInferRequest(
                model_name="houses",
                inputs=[tensor],
                outputs=[{"name": "contributions"}, {"name": "baseline"}, {"name": "unknown_ground"}],
                raw_input_contents=[reference.tobytes()],
            ),
            timeout=60,
        )
    assert [list(each.shape) for each in answer.outputs] == [[1, 1, 4], [1, 1], [1, 4]]
    assert np.abs(np.frombuffer(answer.raw_output_contents[0], "<f4")).max() <= 1e-5 * np.abs(found.explained).max()
    np.testing.assert_allclose(np.frombuffer(answer.raw_output_contents[1], "<f4"), found.baseline[0], rtol=1e-6)
    table = "\n".join(json.dumps(record) for record in records)
    done = subprocess.run(
        [BIN / "kan-client", "explain", "houses", "-", "--format", "jsonl", "--top", "2", "--address", server.grpc],
        input=table,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    shown = [float(line.split()[0]) for line in lines]
    np.testing.assert_allclose(shown, found.explained[:, 0], atol=0.06)  # two digits of the largest contribution
    assert "age 500" in lines[4]
    assert re.search(r"rows outside the training range: .*age 500 \(", done.stderr)
    if "envoy" in request.node.name:
        body = json.dumps({"instances": reference.tolist()}).encode()
        headers = {"content-type": "application/json"}
        post = urllib.request.Request(f"http://{server.grpc}/v1/models/houses:explain", body, headers)
        with urllib.request.urlopen(post, timeout=60) as response:
            told = json.loads(response.read())
        assert told["predictions"][0][0] == pytest.approx(float(found.baseline[0, 0]), rel=1e-5)
        assert list(told["explanations"][0]["price"]["contributions"]) == ["rooms", "age", "colour", "built"]


def test_the_command_in_the_error_adds_what_lacks(models: Path, tmp_path: Path) -> None:
    """A version without attribution.onnx is FAILED_PRECONDITION; `kan-train tune` publishes one that explains."""
    folder = tmp_path / "models" / "houses" / "1"
    folder.mkdir(parents=True)
    source = models / "houses" / "1"
    manifest = json.loads((source / "manifest.json").read_text())
    del manifest["attribution_graph"]
    manifest["files"] = [each for each in manifest["files"] if each["name"] != "attribution.onnx"]
    for file in manifest["files"]:
        (folder / file["name"]).write_bytes((source / file["name"]).read_bytes())
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with (
        serving(tmp_path / "models", "--poll-seconds", "0.1", log=tmp_path / "log") as server,
        Client(server.grpc, 60) as client,
    ):
        with pytest.raises(NotPublished, match="kan-train tune models/houses/1"):
            client.explain("houses", _records())
        _kan_train(tmp_path, "tune", "--rows", "1", "models/houses/1")
        wait_for(lambda: client.predict("houses", _records()).version == 2, "version 2")
        found = client.explain("houses", _records())
        assert client.manifest("houses").attribution_graph.from_histograms
        _adds_up(found)
