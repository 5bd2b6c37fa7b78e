"""Rows that the manifest permits and the server refuses: a server behind a gateway that alters manifests."""

import csv
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from kan_api.v1.prediction_pb2 import GetModelResponse
from service.client import Client, InvalidInput
from service.client.command.predict_file import Outcome, PredictionJob, predict_file
from tests.kit.models.graphs import KINDS
from tests.kit.models.repository import write_version
from tests.kit.server.kan_serve import serving

ROWS = 1300  # several requests, because the server recommends 512 rows in each


class Gateway(grpc.GenericRpcHandler):
    """Passes calls on to a server, and alters the answers of GetModel.

    Args:
        address: the server.
        change: alters an answer of GetModel.
    """

    def __init__(self, address: str, change: Callable[[GetModelResponse], None]) -> None:
        self._channel = grpc.insecure_channel(address)
        self._change = change

    def service(self, handler_call_details: Any) -> Any:
        """The handler of a method."""
        method = handler_call_details.method

        def pass_on(request: bytes, context: grpc.ServicerContext) -> bytes:
            call: Any = self._channel.unary_unary(method)
            try:
                answer: bytes = call(request, timeout=60)
            except grpc.RpcError as error:
                failed: Any = error
                context.abort(failed.code(), failed.details())
            if method.endswith("/GetModel"):
                response = GetModelResponse.FromString(answer)
                self._change(response)
                answer = response.SerializeToString()
            return answer

        return grpc.unary_unary_rpc_method_handler(pass_on)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A kan-serve of affine; the tests share it."""
    folder = tmp_path_factory.mktemp("shared")
    write_version(folder / "models", "affine")
    with serving(folder / "models", log=folder / "log") as started:
        yield started.grpc


def predict(server: str, change: Callable[[GetModelResponse], None], text: str) -> tuple[Outcome, str, list[str]]:
    """Run `kan-client predict` through a gateway: the outcome, the answers, the messages."""
    job = PredictionJob("affine", None, "t", "csv", "csv", False, None)
    out, told = io.StringIO(), list[str]()
    gateway = grpc.server(ThreadPoolExecutor(4), handlers=[Gateway(server, change)])
    port = gateway.add_insecure_port("127.0.0.1:0")
    gateway.start()
    try:
        with Client(f"127.0.0.1:{port}", 60) as client:
            outcome = predict_file(client, job, io.BytesIO(text.encode()), out, told.append)
    finally:
        gateway.stop(None).wait()
    return outcome, out.getvalue(), told


def impute(response: GetModelResponse) -> None:
    """Say that the model fills missing numbers in."""
    for feature in response.manifest.features:
        feature.imputed = 0.0


def test_the_row_that_the_server_names_is_the_only_one_without_an_answer(server: str, tmp_path: Path) -> None:
    """The server names a row of its request. The row of the file is found, in whichever request it was."""
    numbers = np.random.default_rng(0).normal(size=(ROWS, 4)).round(3).astype(np.float32)
    wanted = KINDS["affine"].answer(numbers)[:, 0].copy()
    lines = [",".join(f"{value:.3f}" for value in row) for row in numbers.astype(np.float64)]
    for row in (0, 5, 700, ROWS - 1):
        lines[row], wanted[row] = "1,2,,4", np.nan
    lines[3], wanted[3] = "1,2,x,4", np.nan
    outcome, out, told = predict(server, impute, "\n".join(["x0,x1,x2,x3", *lines]))
    assert outcome.has_bad_row
    answers = [float(cell or "nan") for (cell,) in list(csv.reader(io.StringIO(out)))[1:]]
    np.testing.assert_allclose(answers, wanted, atol=1e-4)
    assert [line.split(")")[0] for line in told[:5]] == [
        f"t: row {row} (line {row + 1}" for row in (1, 4, 6, 701, ROWS)
    ]
    assert "refused the rows: features: column 2 ('x2') is nan" in told[0]
    assert told[5:] == [f"t: 5 of {ROWS} rows have no answer"]


def test_a_request_that_is_wrong_as_a_whole_refuses_the_file(server: str) -> None:
    """The server names no row, so no row is searched for."""

    def widen(response: GetModelResponse) -> None:
        response.manifest.features.add(name="more", column="x0")

    with pytest.raises(InvalidInput, match="features has 5 columns"):
        predict(server, widen, "x0,x1,x2,x3\n1,2,3,4\n")
