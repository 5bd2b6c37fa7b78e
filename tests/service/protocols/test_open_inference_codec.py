from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_inference.grpc_predict_v2_pb2 import InferTensorContents, ModelInferRequest, ModelInferResponse
from service.errors import InvalidRequest
from service.metrics.metrics import Metrics
from service.protocols.open_inference_codec import (
    ChosenOutputs,
    choose_outputs,
    decode_infer,
    encode_infer,
    to_raw_words,
)
from service.registry.model.live_model import LiveModel, load
from service.repository.disk import read_version
from service.settings import Settings
from tests.kit.models.repository import WriteModel

_MOST_ROWS = 8


@pytest.fixture
def classifier(models: Path, write_model: WriteModel) -> LiveModel:
    """Four features; probabilities y of red, green and blue."""
    write_model("classifier")
    return load(read_version(models, "classifier", 1), Settings(models=models), Metrics())


def _infer(
    datatype: str = "FP32", shape: tuple[int, ...] = (2, 4), raw: bytes | None = None, **contents: Any
) -> ModelInferRequest:
    request = ModelInferRequest(model_name="affine")
    request.inputs.add(name="x", datatype=datatype, shape=shape, contents=InferTensorContents(**contents))
    if raw is not None:
        request.raw_input_contents.append(raw)
    return request


@pytest.mark.parametrize(
    "datatype", ["FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"]
)
def test_every_number_type_becomes_float32(model: LiveModel, datatype: str) -> None:
    """Raw and typed contents of every datatype decode to the numbers that numpy holds in that type."""
    names = {"FP": "float", "INT": "int", "UINT": "uint"}
    letters = datatype.rstrip("0123456789")
    dtype = np.dtype(names[letters] + datatype.removeprefix(letters))
    numbers = np.array([[0, 1, 2, 3], [7, 100, 126, 127]], dtype)
    field = {"FP32": "fp32", "FP64": "fp64", "INT64": "int64", "UINT64": "uint64"}.get(datatype, letters.lower())
    contents: dict[str, Any] = {f"{field}_contents": numbers.ravel().tolist()}
    typed = _infer(datatype, **contents)
    for request in (typed, _infer(datatype, raw=numbers.tobytes())):
        decoded = decode_infer(request, model, _MOST_ROWS)
        assert decoded.dtype == np.float32
        np.testing.assert_array_equal(decoded, numbers.astype(np.float32))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (_infer("BYTES", bytes_contents=[b"x"]), "input 'x' has datatype 'BYTES'; wanted FP32"),
        (_infer("FP16", raw=bytes(16)), "input 'x' has datatype 'FP16'; wanted FP32"),
        (_infer("BOOL", bool_contents=[True] * 8), "datatype 'BOOL'"),
        (_infer("", raw=bytes(32)), "datatype ''"),
        (_infer(shape=(8,), raw=bytes(32)), r"input 'x' has shape \[8\]; wanted \[rows, 4\]"),
        (_infer(shape=(1, 2, 4), raw=bytes(32)), r"shape \[1, 2, 4\]; wanted \[rows, 4\]"),
        (_infer(shape=(0, 4)), "input 'x' has 0 rows; wanted 1 to 8"),
        (_infer(shape=(-2, 4), raw=bytes(32)), "input 'x' has -2 rows"),
        (_infer(shape=(-2, -4), raw=bytes(32)), "input 'x' has -4 columns"),
        (_infer(shape=(2**62, 4), raw=bytes(32)), "rows; wanted 1 to 8"),
        (_infer(shape=(2, 5), raw=bytes(40)), "input 'x' has 5 columns; model 'affine' wants 4"),
        (_infer(raw=bytes(31)), "input 'x': raw contents: 31 bytes came; wanted 32"),
        (_infer("FP64", raw=bytes(32)), "32 bytes came; wanted 64"),
        (_infer(), "contents.fp32_contents holds 0 numbers; wanted 8"),
        (_infer(fp32_contents=[1]), "contents.fp32_contents holds 1 numbers; wanted 8"),
        (_infer(fp64_contents=[1] * 8), "contents has fp64_contents; wanted fp32_contents alone, for datatype FP32"),
        (_infer(fp32_contents=[1] * 8, int_contents=[1]), "contents has int_contents, fp32_contents; wanted"),
        (_infer(raw=bytes(32), fp32_contents=[1]), "contents.fp32_contents beside raw_input_contents"),
        (_infer("INT8", int_contents=[0] * 7 + [128]), "holds 128; wanted -128 to 127, for datatype INT8"),
        (_infer("UINT16", uint_contents=[0] * 7 + [65536]), "holds 65536; wanted 0 to 65535"),
        (
            _infer("FP64", fp64_contents=[0] * 7 + [1e39]),
            r"row 1, column 3 \('x3'\) is 1e\+39; wanted a finite float32",
        ),
        (_infer("FP32", fp32_contents=[np.nan] * 8), r"row 0, column 0 \('x0'\) is nan"),
        (ModelInferRequest(), r"inputs are \[\]; wanted one tensor, 'x'"),
        (ModelInferRequest(inputs=[{"name": "y"}]), r"inputs are \['y'\]; wanted one tensor, 'x'"),
        (ModelInferRequest(inputs=[{"name": "x"}, {"name": "x"}]), r"inputs are \['x', 'x'\]; wanted one"),
        (
            ModelInferRequest(
                inputs=[{"name": "x", "datatype": "FP32", "shape": [2, 4]}], raw_input_contents=[bytes(32)] * 2
            ),
            "raw_input_contents has 2 entries; wanted 1",
        ),
        (
            ModelInferRequest(inputs=[{"name": "x", "parameters": {"shared_memory_region": {"string_param": "r"}}}]),
            "parameter 'shared_memory_region', an extension",
        ),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused(model: LiveModel, request_: ModelInferRequest, message: str) -> None:
    """Each refusal names the input, what came and what was wanted.

    This table is the one place that pins these messages.
    """
    with pytest.raises(InvalidRequest, match=message):
        decode_infer(request_, model, _MOST_ROWS)


def test_outputs_are_answered_in_the_form_of_the_request(model: LiveModel) -> None:
    """All outputs when none is named; raw bytes for raw contents, typed for typed."""
    values = np.array([[1], [2]], np.float32)
    for raw in (True, False):
        request = _infer(raw=bytes(32)) if raw else _infer(fp32_contents=[0] * 8)
        chosen = choose_outputs(request, model)
        assert chosen == ChosenOutputs(("y",), raw)
        response = ModelInferResponse()
        encode_infer(response, {"y": values}, model, chosen)
        assert (response.outputs[0].name, response.outputs[0].datatype, list(response.outputs[0].shape)) == (
            "y",
            "FP32",
            [2, 1],
        )
        assert list(response.raw_output_contents) == ([values.tobytes()] if raw else [])
        assert list(response.outputs[0].contents.fp32_contents) == ([] if raw else [1, 2])


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ([{"name": "label"}], r"'label' is asked for; .*\['y'\]"),
        ([{"name": "z"}], r"'z' is asked for; .*\['y'\]"),
        ([{"name": "y"}, {"name": "y"}], "'y' is asked for twice"),
        ([{"name": "y", "parameters": {"classification": {"int64_param": 3}}}], "parameter 'classification'"),
    ],
)
def test_outputs_that_cannot_be_given_are_refused(model: LiveModel, outputs: list[Any], message: str) -> None:
    """An output that does not exist, is named twice, or is wanted in an unknown form."""
    with pytest.raises(InvalidRequest, match=message):
        choose_outputs(ModelInferRequest(outputs=outputs), model)


def _words(raw: bytes) -> list[bytes]:
    """Raw contents of BYTES, read as the protocol has them."""
    found = []
    while raw:
        length = int.from_bytes(raw[:4], "little")
        found.append(raw[4 : 4 + length])
        raw = raw[4 + length :]
    return found


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("names", [["label"], ["y", "label"], ["label", "y"]])
def test_labels_come_where_they_are_asked_for(classifier: LiveModel, names: list[str], raw: bool) -> None:
    """Alone or with probabilities, in the order asked for: the likeliest class, the first of equals, none for NaN."""
    probabilities = np.array([[0.1, 0.2, 0.7], [0.4, 0.4, 0.2], [0.9, np.nan, 0.1]], np.float32)
    request = _infer(raw=bytes(32)) if raw else _infer(fp32_contents=[0] * 8)
    for name in names:
        request.outputs.add(name=name)
    response = ModelInferResponse()
    encode_infer(response, {"y": probabilities}, classifier, choose_outputs(request, classifier))
    assert [tensor.name for tensor in response.outputs] == names
    assert len(response.raw_output_contents) == (len(names) if raw else 0)
    place = names.index("label")
    label = response.outputs[place]
    assert (label.datatype, list(label.shape)) == ("BYTES", [3, 1])
    words = _words(response.raw_output_contents[place]) if raw else list(label.contents.bytes_contents)
    assert words == [b"blue", b"red", b""]


def test_a_request_without_named_outputs_gets_no_labels(classifier: LiveModel) -> None:
    """Without named outputs the response has the outputs of the graph only."""
    assert choose_outputs(_infer(raw=bytes(32)), classifier).names == ("y",)
    with pytest.raises(InvalidRequest, match="'z'"):
        choose_outputs(ModelInferRequest(outputs=[{"name": "z"}]), classifier)
    with pytest.raises(InvalidRequest, match="twice"):
        choose_outputs(ModelInferRequest(outputs=[{"name": "label"}, {"name": "label"}]), classifier)


def test_each_word_comes_after_its_length() -> None:
    """Four bytes, little-endian; the empty word is its length alone."""
    assert to_raw_words([b"ab", b"", b"c" * 300]) == b"\x02\0\0\0ab" + bytes(4) + b"\x2c\x01\0\0" + b"c" * 300
    assert to_raw_words([]) == b""
