"""One request in each protocol, as bytes: the same test runs over all of them."""

from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from kan_api.v1 import prediction_pb2
from open_inference import grpc_predict_v2_pb2

Rows = NDArray[np.float32]


class KanApi:
    """kan_api.v1: its paths, its requests, and what an answer says."""

    name = "kan_api"
    path = "/kan_api.v1.PredictionService/Predict"
    stream_path = "/kan_api.v1.PredictionService/PredictStream"

    @staticmethod
    def request(model: str, rows: Rows, key: str = "", **fields: Any) -> bytes:
        """A request with an id; keywords are more fields of the message."""
        features = prediction_pb2.Matrix(rows=rows.shape[0], columns=rows.shape[1], raw=rows.tobytes())
        return prediction_pb2.PredictRequest(id=key, model=model, features=features, **fields).SerializeToString()

    @staticmethod
    def answer(data: bytes) -> tuple[str, int, Rows]:
        """Id, version and values of the first output."""
        return _predicted(prediction_pb2.PredictResponse.FromString(data))

    @staticmethod
    def stream_answer(data: bytes) -> tuple[str, str, Any, int]:
        """Id, code, values and version of one answer of a stream. A failure has its message for values."""
        message = prediction_pb2.PredictStreamResponse.FromString(data)
        if message.WhichOneof("result") == "failure":
            codes = {code.value[0]: code.name for code in grpc.StatusCode}
            return message.id, codes[message.failure.code], message.failure.message, 0
        assert message.prediction.id == message.id
        _, version, values = _predicted(message.prediction)
        return message.id, "OK", values, version


class OpenInference:
    """The Open Inference Protocol, likewise. The input of every model of the tests is "x"."""

    name = "open_inference"
    path = "/inference.GRPCInferenceService/ModelInfer"
    stream_path = "/inference.GRPCInferenceService/ModelStreamInfer"

    @staticmethod
    def request(model: str, rows: Rows, key: str = "", **fields: Any) -> bytes:
        """A request with an id; keywords are more fields of the message."""
        return grpc_predict_v2_pb2.ModelInferRequest(
            id=key,
            model_name=model,
            inputs=[{"name": "x", "datatype": "FP32", "shape": rows.shape}],
            raw_input_contents=[rows.tobytes()],
            **fields,
        ).SerializeToString()

    @staticmethod
    def answer(data: bytes) -> tuple[str, int, Rows]:
        """Id, version and values of the first output."""
        return _inferred(grpc_predict_v2_pb2.ModelInferResponse.FromString(data))

    @staticmethod
    def stream_answer(data: bytes) -> tuple[str, str, Any, int]:
        """Id, code, values and version of one answer of a stream. A failure has its message for values."""
        message = grpc_predict_v2_pb2.ModelStreamInferResponse.FromString(data)
        if message.error_message:
            code, _, told = message.error_message.partition(": ")
            return message.infer_response.id, code, told, 0
        assert message.infer_response.parameters["triton_final_response"].bool_param
        key, version, values = _inferred(message.infer_response)
        return key, "OK", values, version


Protocol = type[KanApi] | type[OpenInference]
PROTOCOLS: tuple[Protocol, ...] = (KanApi, OpenInference)


def _predicted(message: prediction_pb2.PredictResponse) -> tuple[str, int, Rows]:
    return message.id, message.version, np.frombuffer(message.outputs[0].values.raw, "<f4")


def _inferred(message: grpc_predict_v2_pb2.ModelInferResponse) -> tuple[str, int, Rows]:
    return message.id, int(message.model_version), np.frombuffer(message.raw_output_contents[0], "<f4")
