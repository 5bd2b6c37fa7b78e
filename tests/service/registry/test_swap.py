"""New versions over the wire: a real process, callers that never pause."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from kan_api.v1 import prediction_pb2 as pb

_VERSIONS, _CALLERS = 6, 8


def test_swaps_under_load_fail_no_request(
    kan_serve: Callable[..., Any], write_model: Callable[..., Path], answer: Callable[..., Any]
) -> None:
    """Each caller sees versions only grow, every answer is right, and the metrics count the swaps."""
    write_model("affine", 1)
    server = kan_serve("--poll-seconds", "0.05", "--linger-seconds", "0")
    rows = np.arange(8, dtype=np.float32).reshape(2, 4)
    request = pb.PredictRequest(model="affine", features=pb.Matrix(rows=2, columns=4, raw=rows.tobytes()))
    stop, arrived = threading.Event(), threading.Condition()
    newest, failures = [0], []

    def call_on() -> None:
        last = 0
        try:
            with grpc.insecure_channel(server.grpc) as channel:
                predict: Any = channel.unary_unary(
                    "/kan_api.v1.PredictionService/Predict",
                    request_serializer=pb.PredictRequest.SerializeToString,
                    response_deserializer=pb.PredictResponse.FromString,
                )
                while not stop.is_set():
                    response = predict(request, timeout=60)
                    got = np.frombuffer(response.outputs[0].values.raw, np.float32).reshape(2, 1)
                    np.testing.assert_allclose(got, answer("affine", rows), rtol=1e-6)
                    assert response.version >= last
                    last = response.version
                    with arrived:
                        newest[0] = max(newest[0], last)
                        arrived.notify_all()
        except BaseException as error:
            failures.append(error)
            with arrived:
                arrived.notify_all()

    callers = [threading.Thread(target=call_on) for _ in range(_CALLERS)]
    for caller in callers:
        caller.start()
    try:
        for version in range(2, _VERSIONS + 1):
            write_model("affine", version)
            with arrived:
                while newest[0] < version and not failures:
                    assert arrived.wait(timeout=60)
    finally:
        stop.set()
        for caller in callers:
            caller.join(60)
    assert failures == []
    server.process.send_signal(signal.SIGTERM)
    code, _, log = server.finish()
    assert code == 0
    assert log.count("took over from version") == _VERSIONS - 1
    assert f"model affine version {_VERSIONS - 1} closed" in log
