"""A model of images over both protocols."""

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from kan_api.v1 import prediction_pb2 as pb
from open_inference import grpc_predict_v2_pb2 as oip
from tests.kit.callers.calls import matrix
from tests.kit.models.graphs import Answer
from tests.kit.models.repository import write_version
from tests.kit.server.kan_serve import KanServe, serving

_ROWS = np.array([[0.5, -1, 2, 0], [1, 1, 1, 1], [-3, 0.25, 0, 8]], np.float32)


@pytest.fixture(scope="module")
def server(frontend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """A kan-serve of affine, whose 4 features are an image of 1 channel, 2 rows and 2 columns."""
    folder = tmp_path_factory.mktemp("images")
    write_version(folder / "models", "affine", change=lambda manifest: manifest.image_shape.extend((1, 2, 2)))
    with serving(folder / "models", "--frontend", frontend, log=folder / "log") as started:
        yield started


def _ask(server: KanServe, method: str, request: Any, response: Any) -> Any:
    with grpc.insecure_channel(server.grpc) as channel:
        call: Any = channel.unary_unary(method, type(request).SerializeToString, response.FromString)
        return call(request, timeout=60)


def _infer(shape: tuple[int, ...], *, raw: bool = True) -> oip.ModelInferRequest:
    tensor: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": shape}
    if raw:
        return oip.ModelInferRequest(model_name="affine", inputs=[tensor], raw_input_contents=[_ROWS.tobytes()])
    tensor["contents"] = {"fp32_contents": _ROWS.ravel().tolist()}
    return oip.ModelInferRequest(model_name="affine", inputs=[tensor])


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
def test_images_and_rows_have_the_same_answers(server: KanServe, answer: Answer, raw: bool) -> None:
    """[rows, channels, height, width] is answered as the same numbers in [rows, features], and as Predict."""
    method = "/inference.GRPCInferenceService/ModelInfer"
    wanted = answer("affine", _ROWS)
    for shape in ((3, 1, 2, 2), (3, 4)):
        found = _ask(server, method, _infer(shape, raw=raw), oip.ModelInferResponse)
        assert list(found.outputs[0].shape) == [3, 1]
        contents = found.raw_output_contents[0] if raw else np.float32(found.outputs[0].contents.fp32_contents)
        np.testing.assert_allclose(np.frombuffer(contents, np.float32).reshape(3, 1), wanted, rtol=1e-5)
    request = pb.PredictRequest(model="affine", features=matrix(_ROWS))
    predicted = _ask(server, "/kan_api.v1.PredictionService/Predict", request, pb.PredictResponse)
    np.testing.assert_allclose(np.frombuffer(predicted.outputs[0].values.raw, "<f4").reshape(3, 1), wanted, rtol=1e-5)


def test_the_metadata_lists_the_image(server: KanServe) -> None:
    """The input is [-1, channels, height, width]."""
    request = oip.ModelMetadataRequest(name="affine")
    found = _ask(server, "/inference.GRPCInferenceService/ModelMetadata", request, oip.ModelMetadataResponse)
    assert [(each.name, list(each.shape)) for each in found.inputs] == [("x", [-1, 1, 2, 2])]


@pytest.mark.parametrize("shape", [(3, 2, 2, 1), (3, 2, 2), (3, 1, 4, 1), (0, 1, 2, 2), (2, 1, 2, 2)])
def test_other_shapes_are_refused(server: KanServe, shape: tuple[int, ...]) -> None:
    """INVALID_ARGUMENT, also where the number of values is right."""
    with pytest.raises(grpc.RpcError) as failure:
        _ask(server, "/inference.GRPCInferenceService/ModelInfer", _infer(shape), oip.ModelInferResponse)
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    if shape[1:] != (1, 2, 2):
        assert "wanted [rows, 4] or [rows, 1, 2, 2]" in (failure.value.details() or "")
