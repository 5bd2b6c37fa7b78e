"""MLServer with the model: ``python mlserver_server.py MODEL GRPC_PORT HTTP_PORT METRICS_PORT REQUESTS SECONDS``.

The model runs in the server's own process, not in a worker process (``parallel_workers`` 0): a worker costs a hop per
request and gains nothing for a small model. REQUESTS and SECONDS set the adaptive batching: it waits up to SECONDS for
REQUESTS requests; 0 turns it off. MLServer's runtime reads the path of the model from the environment.
"""

import asyncio
import os
import sys

import uvloop
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.settings import ModelParameters
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.serving.peer_servers.onnx_session import open_session


class OnnxModel(MLModel):  # type: ignore[misc]
    """The model."""

    async def load(self) -> bool:
        """Open the model."""
        self._session = open_session(os.environ["BENCHMARK_MODEL"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer a request, or the requests of a batch."""
        rows = NumpyCodec.decode_input(payload.inputs[0])
        (prediction,) = self._session.run(["prediction"], {"features": rows})
        output = NumpyCodec.encode_output("prediction", prediction)
        return InferenceResponse(model_name=self.name, outputs=[output])


async def _serve(model: str, grpc_port: int, http_port: int, metrics_port: int, rows: int, seconds: float) -> None:
    os.environ["BENCHMARK_MODEL"] = model
    server = MLServer(
        Settings(
            debug=False,
            host="127.0.0.1",
            grpc_port=grpc_port,
            http_port=http_port,
            metrics_port=metrics_port,
            parallel_workers=0,
            load_models_at_startup=False,
        )
    )
    settings = ModelSettings(
        name="kan",
        implementation=OnnxModel,
        max_batch_size=rows,
        max_batch_time=seconds,
        parameters=ModelParameters(version="1"),
    )
    await server.start([settings])


if __name__ == "__main__":
    uvloop.install()
    model, grpc_port, http_port, metrics_port, rows, seconds = sys.argv[1:]
    asyncio.run(_serve(model, int(grpc_port), int(http_port), int(metrics_port), int(rows), float(seconds)))
