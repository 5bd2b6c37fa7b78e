"""A model repository that an older commit published answers as that commit answered."""

import csv
import io
import json
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import json_format
from numpy.typing import NDArray

from kan_api.v1 import prediction_pb2 as pb
from kan_api.v1.manifest_pb2 import ModelManifest
from open_inference import grpc_predict_v2_pb2 as oip
from service.client import Client
from tests.kit.callers.calls import matrix
from tests.kit.server.kan_serve import serving

PUBLISHED = Path(__file__).parents[2] / "published" / "9536bcd"
MODELS = ("digits", "field", "flats", "formula")
# Of the output's range, or of the answer where that is larger. Processors differ by rounding, below 1e-6.
TOLERANCE = 1e-5

_MISSING = {"", "?", "NaN"}
_PREDICTION = "kan_api.v1.PredictionService"
_INFERENCE = "inference.GRPCInferenceService"


@dataclass(frozen=True)
class Before:
    """The requests to one model, and the answers of the server at that commit."""

    manifest: ModelManifest
    said: Any

    @classmethod
    def read(cls, name: str) -> "Before":
        """The requests and answers of a model."""
        manifest = (PUBLISHED / "models" / name / "1" / "manifest.json").read_bytes()
        said = json.loads((PUBLISHED / "requests" / f"{name}.json").read_bytes())
        return cls(json_format.Parse(manifest, ModelManifest()), said)

    @property
    def rows(self) -> NDArray[np.float32]:
        """[rows, features]."""
        return np.array(self.said["rows"], np.float32)

    def check(self, values: Any, *, by: str = "Predict") -> None:
        """Compare answers [rows, outputs] with those of that commit; a request may have only the first rows."""
        answers = np.asarray(values, np.float64)
        expected = np.array(self.said[by], np.float64)[: len(answers)]
        assert answers.shape == expected.shape
        size = np.maximum(np.array(self.manifest.lowering.output_scale), np.abs(expected))
        assert (np.abs(answers - expected) <= TOLERANCE * size).all(), (self.manifest.name, answers, expected)


@pytest.fixture(scope="module")
def address(frontend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A kan-serve of the repository, in its place; the tests share it."""
    log = tmp_path_factory.mktemp("shared") / "log"
    with serving(PUBLISHED / "models", "--frontend", frontend, log=log) as server:
        yield server.grpc


def _caller(channel: grpc.Channel) -> Callable[[str, str, Any, Any], Any]:
    """Sends one request; call it with a service, a method, the request and the response's type."""

    def call(service: str, method: str, request: Any, response: Any) -> Any:
        send: Any = channel.unary_unary(f"/{service}/{method}", type(request).SerializeToString, response.FromString)
        return send(request, timeout=60)

    return call


def _predict_request(name: str, rows: NDArray[np.float32]) -> pb.PredictRequest:
    return pb.PredictRequest(model=name, features=matrix(rows))


def _infer_request(name: str, rows: NDArray[np.float32], input_name: str, outputs: Sequence[str]) -> Any:
    return oip.ModelInferRequest(
        model_name=name,
        inputs=[{"name": input_name, "datatype": "FP32", "shape": rows.shape}],
        outputs=[{"name": output} for output in outputs],
        raw_input_contents=[rows.tobytes()],
    )


def test_both_protocols_answer_as_before(address: str) -> None:
    """Numbers within the tolerance; classes and metadata the same."""
    with grpc.insecure_channel(address) as channel:
        call = _caller(channel)
        for name in MODELS:
            before = Before.read(name)
            predicted = call(_PREDICTION, "Predict", _predict_request(name, before.rows), pb.PredictResponse)
            (output,) = predicted.outputs
            assert (predicted.version, output.name) == (1, before.manifest.outputs[0].name)
            before.check(np.frombuffer(output.values.raw, "<f4").reshape(output.values.rows, output.values.columns))

            metadata = call(_INFERENCE, "ModelMetadata", oip.ModelMetadataRequest(name=name), oip.ModelMetadataResponse)
            told = json_format.MessageToDict(metadata, preserving_proto_field_name=True)
            assert {key: told.get(key) for key in before.said["ModelMetadata"]} == before.said["ModelMetadata"]

            outputs = [tensor.name for tensor in metadata.outputs]
            request = _infer_request(name, before.rows, metadata.inputs[0].name, outputs)
            inferred = call(_INFERENCE, "ModelInfer", request, oip.ModelInferResponse)
            numbers, *words = inferred.raw_output_contents
            before.check(np.frombuffer(numbers, "<f4").reshape(inferred.outputs[0].shape), by="ModelInfer")
            labels = before.said.get("labels")
            assert words == ([] if labels is None else [_raw_words(labels)])


def test_both_protocols_refuse_as_before(address: str) -> None:
    """The same code for a missing value that is not imputed, a NaN for a word's feature, and a missing column."""
    with grpc.insecure_channel(address) as channel:
        call = _caller(channel)
        for name in MODELS:
            before = Before.read(name)
            for refused in before.said["refused"]:
                rows = np.array(refused["rows"], np.float32)
                with pytest.raises(grpc.RpcError) as by_predict:
                    call(_PREDICTION, "Predict", _predict_request(name, rows), pb.PredictResponse)
                request = _infer_request(name, rows, before.manifest.inputs[0].name, [])
                with pytest.raises(grpc.RpcError) as by_infer:
                    call(_INFERENCE, "ModelInfer", request, oip.ModelInferResponse)
                codes = [caught.value.code().name for caught in (by_predict, by_infer)]
                assert codes == [refused["code"]] * 2


def _raw_words(words: Sequence[str]) -> bytes:
    """Words as raw contents of datatype BYTES: before each its length, 4 bytes, little-endian."""
    return b"".join(struct.pack("<I", len(word.encode())) + word.encode() for word in words)


def test_the_client_is_answered_as_before(address: str) -> None:
    """Rows by column name, with words and gaps, are encoded as that commit encoded them; its manifest is whole."""
    with Client(address, timeout_seconds=60) as client:
        for name in MODELS:
            before = Before.read(name)
            assert client.manifest(name) == before.manifest
            prediction = client.predict(name, _records(name, before.manifest))
            before.check(prediction.values)
            if prediction.labels is not None:
                assert list(prediction.labels) == before.said["labels"]


def _records(name: str, manifest: ModelManifest) -> list[dict[str, object]]:
    """The rows of a model's CSV file as Python values: numbers, and None for missing cells."""
    words = {column.name for column in manifest.columns if column.categories}
    with (PUBLISHED / "requests" / f"{name}.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    numbers = {column.name for column in manifest.columns} - words
    return [
        {key: (None if cell in _MISSING else float(cell)) if key in numbers else cell for key, cell in row.items()}
        for row in table
    ]


@pytest.mark.parametrize("frontend", ["grpcio", pytest.param("envoy", marks=pytest.mark.slow)], scope="module")
def test_kan_client_prints_as_before(address: str) -> None:
    """A CSV file with words, gaps, quotes, columns in another order and one too many; an unknown word is named."""
    for name in MODELS:
        before = Before.read(name)
        done = _kan_client("predict", name, str(PUBLISHED / "requests" / f"{name}.csv"), "--all", "--address", address)
        assert (done.returncode, 'ignored "id"' in done.stderr) == (0, True), done.stderr
        printed = list(csv.reader(io.StringIO(done.stdout)))
        expected = list(csv.reader(io.StringIO((PUBLISHED / "requests" / f"{name}_answers.csv").read_text())))
        assert printed[0] == expected[0]
        width = before.manifest.outputs[0].shape[1]  # numbers a row; a label stands before them where there are classes
        assert [row[:-width] for row in printed[1:]] == [row[:-width] for row in expected[1:]]
        before.check([row[-width:] for row in printed[1:]])
    unknown = str(PUBLISHED / "requests" / "flats_unknown_word.csv")
    done = _kan_client("predict", "flats", unknown, "--strict", "--address", address)
    assert (done.returncode, done.stdout, '"Nordstadt"' in done.stderr) == (2, "", True), done.stderr
    done = _kan_client("predict", "flats", unknown, "--address", address)
    assert (done.returncode, '"Nordstadt"' in done.stderr) == (3, True), done.stderr


def _kan_client(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).parent / "kan-client"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)
