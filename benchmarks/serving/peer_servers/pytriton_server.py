"""PyTriton, a Python function behind Triton: ``python pytriton_server.py MODEL GRPC_PORT HTTP_PORT METRICS_PORT``.

Triton's dynamic batching is on, without a delay: requests that wait while the function is busy are its next batch.
"""

import sys

import numpy as np
from numpy.typing import NDArray
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from benchmarks.serving.peer_servers.onnx_session import open_session

# Eight requests of 64 rows; with a smaller limit such requests would not share a batch.
_MOST_ROWS = 512


def main(path: str, grpc_port: int, http_port: int, metrics_port: int) -> None:
    """Serve."""
    session = open_session(path)

    @batch  # type: ignore[untyped-decorator]
    def predict(features: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        outputs: list[NDArray[np.float32]] = session.run(["prediction"], {"features": features})
        return outputs

    config = TritonConfig(
        grpc_address="127.0.0.1",
        grpc_port=grpc_port,
        http_address="127.0.0.1",
        http_port=http_port,
        metrics_port=metrics_port,
    )
    with Triton(config=config) as triton:
        triton.bind(
            model_name="kan",
            infer_func=predict,
            inputs=[Tensor(name="features", dtype=np.float32, shape=(16,))],
            outputs=[Tensor(name="prediction", dtype=np.float32, shape=(4,))],
            config=ModelConfig(max_batch_size=_MOST_ROWS, batcher=DynamicBatcher(max_queue_delay_microseconds=0)),
        )
        triton.serve()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
