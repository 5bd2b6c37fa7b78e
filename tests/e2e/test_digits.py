"""Digits over the wire are digits in torch."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from kan_model.network import checkpoint
from service.client import Client
from tests.kit.models.digits import RECIPE, ServedDigits
from training.data.dataset import prepare
from training.data.preparation import input_transform, output_transform
from training.publishing.export import Trained
from training.publishing.manifest import predict
from training.recipe.config import load_recipe

Truth = tuple[NDArray[np.float32], NDArray[np.float64], list[str]]

# It trains digits.
pytestmark = pytest.mark.slow

# Runs in a process of its own: tritonclient registers the protocol's messages a second time.
TRITON = """
import json, sys
import numpy as np
import tritonclient.grpc as triton
address, rows = sys.argv[1], np.load(sys.argv[2])
client = triton.InferenceServerClient(address)
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("digits")
metadata = client.get_model_metadata("digits", as_json=True)
tensor = triton.InferInput(metadata["inputs"][0]["name"], list(rows.shape), "FP32")
tensor.set_data_from_numpy(rows)
answer = client.infer("digits", [tensor]).as_numpy(metadata["outputs"][0]["name"])
print(json.dumps({"metadata": metadata, "answer": answer.tolist()}))
"""


@pytest.fixture(scope="module")
def truth(digits: ServedDigits) -> Truth:
    """Held-out rows, torch's probabilities for them in the network's own float32, and their labels."""
    recipe = load_recipe(RECIPE)
    dataset = prepare(recipe)
    kan = checkpoint.load(digits.run / "kan.safetensors")
    assert kan.dtype == torch.float32
    inputs = input_transform(dataset, recipe.inputs.scaling)
    expected = predict(Trained(kan, inputs, output_transform(dataset)), dataset.x[dataset.test])
    labels = [dataset.classes[code] for code in dataset.y[dataset.test]]
    return dataset.x[dataset.test].astype(np.float32), expected, labels


def test_accuracy_and_rows_over_grpc(digits: ServedDigits, truth: Truth) -> None:
    """94 % of the scans never seen (here 97), each row's probabilities within 1e-5 of torch's, the same classes."""
    rows, expected, labels = truth
    with Client(digits.server.grpc, 60) as client:
        prediction = client.predict("digits", rows)
        alone = np.concatenate([client.predict("digits", row).values for row in rows[:50]])
        accuracy = client.manifest("digits").metrics["test_accuracy"]
    np.testing.assert_allclose(prediction.values, expected, atol=1e-5, rtol=0)
    np.testing.assert_allclose(alone, expected[:50], atol=1e-5, rtol=0)
    assert prediction.labels is not None
    assert (prediction.values.argmax(axis=1) == expected.argmax(axis=1)).all()
    right = np.mean([label == word for label, word in zip(prediction.labels, labels, strict=True)])
    assert right >= 0.94
    assert right == pytest.approx(accuracy, abs=1e-12)


def test_the_held_out_csv_gives_the_same_answers_by_name(digits: ServedDigits, truth: Truth) -> None:
    """What training keeps for a person is what it was judged on; kan-client reads it."""
    _, expected, _ = truth
    held_out = digits.run / "held_out.csv"
    table = pd.read_csv(held_out).drop(columns="target")
    with Client(digits.server.grpc, 60) as client:
        by_name = client.predict("digits", table[table.columns[::-1]]).values
    np.testing.assert_allclose(by_name, expected, atol=1e-5, rtol=0)
    command = [sys.executable, "-m", "service.client.cli", "predict", "digits", str(held_out), "--target", "target"]
    done = subprocess.run([*command, "--address", digits.server.grpc], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "accuracy 0.9" in done.stderr
    assert len(done.stdout.splitlines()) == len(expected) + 1


def test_tritons_own_client_gets_the_same_answers(digits: ServedDigits, truth: Truth, tmp_path: Path) -> None:
    """tritonclient[grpc] lists metadata and infers, in a process of its own."""
    rows, expected, _ = truth
    np.save(tmp_path / "rows.npy", rows)
    done = subprocess.run(
        [sys.executable, "-c", TRITON, digits.server.grpc, str(tmp_path / "rows.npy")],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["metadata"]["name"] == "digits"
    assert result["metadata"]["inputs"][0]["shape"] == ["-1", "64"]
    np.testing.assert_allclose(np.array(result["answer"]), expected, atol=1e-5, rtol=0)
