"""KServe's model server with the model: ``python kserve_server.py MODEL GRPC_PORT HTTP_PORT``.

It has no batching: KServe's batching is a separate agent, for HTTP only. Its log of latencies is off.
"""

import logging
import sys
from typing import Any

from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer

from benchmarks.serving.peer_servers.onnx_session import open_session


class OnnxModel(Model):  # type: ignore[misc]
    """The model."""

    def __init__(self, path: str) -> None:
        super().__init__("kan")
        self._session = open_session(path)
        self.ready = True

    async def predict(self, payload: InferRequest, *_: Any, **__: Any) -> InferResponse:
        """Answer a request."""
        rows = payload.inputs[0].as_numpy()
        (prediction,) = self._session.run(["prediction"], {"features": rows})
        output = InferOutput(name="prediction", shape=list(prediction.shape), datatype="FP32")
        output.set_data_from_numpy(prediction, binary_data=True)
        return InferResponse(response_id=payload.id, model_name=self.name, infer_outputs=[output])


if __name__ == "__main__":
    path, grpc_port, http_port = sys.argv[1:]
    server = ModelServer(grpc_port=int(grpc_port), http_port=int(http_port), workers=1, enable_latency_logging=False)
    logging.disable(logging.INFO)
    server.start([OnnxModel(path)])
