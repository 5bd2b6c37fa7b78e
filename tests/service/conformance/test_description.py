"""What a model is reaches its callers on every front end: GetModel has all of it, ListModels stays small."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc

from kan_api.v1 import prediction_pb2
from kan_api.v1.manifest_pb2 import Formula
from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import Start

_DETAILS = Formula(
    text=["2*x0 + x1"],
    latex=["2 x_{0} + x_{1}"],
    r2_to_network=[0.99],
    formula_metrics={"test_rmse": 0.3},
    network_metrics={"test_rmse": 0.1},
    served=True,
)


def _describe(manifest: Any) -> None:
    manifest.formula_details.CopyFrom(_DETAILS)
    manifest.unknown_ground = "flag"
    manifest.metrics["test_rmse"] = 0.3


def test_a_model_tells_what_it_is(start: Start, write_model: WriteModel) -> None:
    """GetModel has formula, policy and metrics, and kan-client prints them; ListModels has a line for each version."""
    write_model("affine", change=_describe)
    server = start()
    service = "/kan_api.v1.PredictionService/"
    with grpc.insecure_channel(server.grpc) as channel:
        get = channel.unary_unary(
            f"{service}GetModel",
            prediction_pb2.GetModelRequest.SerializeToString,
            prediction_pb2.GetModelResponse.FromString,
        )
        listed = channel.unary_unary(
            f"{service}ListModels",
            prediction_pb2.ListModelsRequest.SerializeToString,
            prediction_pb2.ListModelsResponse.FromString,
        )
        manifest = get(prediction_pb2.GetModelRequest(model="affine"), wait_for_ready=True).manifest
        assert listed(prediction_pb2.ListModelsRequest()).ByteSize() < 100
    assert manifest.formula_details == _DETAILS
    assert manifest.unknown_ground == "flag"
    program = Path(sys.executable).with_name("kan-client")
    command = [str(program), "describe", "affine", "--address", server.grpc]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    for text in (
        " = 2*x0 + x1\n",
        "2 x_{0} + x_{1}\n",
        "R² against the network: 0.9900",
        "test rows          RMSE 0.3",
    ):
        assert text in done.stdout


def test_a_formula_is_left_out_where_a_message_is_too_small(start: Start, write_model: WriteModel) -> None:
    """A manifest above the largest message goes without what no prediction needs."""

    def fill(manifest: Any) -> None:
        manifest.recipe = ""
        manifest.formula_details.text.append("x" * 4096)
        manifest.formula_details.text[0] += "x" * (8192 - manifest.ByteSize())

    write_model("affine", change=fill)
    server = start("--max-message-bytes", "8192")
    with grpc.insecure_channel(server.grpc) as channel:
        get = channel.unary_unary(
            "/kan_api.v1.PredictionService/GetModel",
            prediction_pb2.GetModelRequest.SerializeToString,
            prediction_pb2.GetModelResponse.FromString,
        )
        answer = get(prediction_pb2.GetModelRequest(model="affine"), wait_for_ready=True)
    assert list(answer.left_out) == ["formula_details"]
