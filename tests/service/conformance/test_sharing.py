"""Bulk callers beside each other and beside interactive ones, with the default settings, for every front end."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from kan_api.v1 import prediction_pb2
from service.client import Client
from tests.kit.models.graphs import Answer
from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import Start

Floats = NDArray[np.float32]


def test_eight_bulk_callers_and_an_interactive_one_are_all_answered(
    start: Start, write_model: WriteModel, answer: Answer
) -> None:
    """Each gets numpy's answers, and none is refused even once: all of them fit."""
    write_model("classifier")
    server = start()
    over = threading.Event()

    def bulk(seed: int) -> None:
        rows = np.random.default_rng(seed).normal(size=(20_000, 4)).astype(np.float32)
        got = client.predict("classifier", rows, bulk=True)
        np.testing.assert_allclose(got.values, answer("classifier", rows), atol=1e-6)

    def interactive() -> int:
        calls, rows = 0, np.random.default_rng(99).normal(size=(3, 4)).astype(np.float32)
        while not over.is_set():
            np.testing.assert_allclose(client.predict("classifier", rows).values, answer("classifier", rows), atol=1e-6)
            calls += 1
        return calls

    with Client(server.grpc, 100) as client, ThreadPoolExecutor(9) as pool:
        beside = pool.submit(interactive)
        try:
            list(pool.map(bulk, range(8)))
        finally:
            over.set()
        assert beside.result() > 0
    assert server.sample("kan_requests_total", model="classifier", code="RESOURCE_EXHAUSTED") == 0
    # Requests of 512 rows: 40 a caller.
    assert server.sample("kan_request_rows_count", model="classifier") == 8 * 40 + beside.result()


def test_a_server_tells_what_it_takes(start: Start, write_model: WriteModel) -> None:
    """The limits are those of the settings.

    If a manifest is too large for a message, fields without use are left out.
    """

    def fill_a_message(manifest: Any) -> None:
        manifest.recipe = "#" * 4096
        manifest.recipe += "#" * (8192 - manifest.ByteSize())

    write_model("classifier")
    write_model("affine", change=fill_a_message)
    server = start("--max-message-bytes", "8192", "--max-queue-rows", "1600", "--max-request-rows", "1500")
    with grpc.insecure_channel(server.grpc) as channel:
        method = channel.unary_unary(
            "/kan_api.v1.PredictionService/GetModel",
            prediction_pb2.GetModelRequest.SerializeToString,
            prediction_pb2.GetModelResponse.FromString,
        )
        whole, cut = (method(prediction_pb2.GetModelRequest(model=name)) for name in ("classifier", "affine"))
    wanted = prediction_pb2.Limits(max_request_rows=1500, max_message_bytes=8192, shared_request_rows=100)
    assert whole.limits == cut.limits == wanted
    assert list(whole.left_out) == []
    assert list(cut.left_out) == ["recipe"]
    assert [feature.name for feature in cut.manifest.features] == ["x0", "x1", "x2", "x3"]
    with Client(server.grpc) as client:
        assert len(client.predict("affine", np.zeros((500, 4))).values) == 500
