"""Known ground over both protocols: told where asked, always, or refused, as the model's policy says."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from kan_api.v1 import prediction_pb2 as pb
from tests.kit.callers.calls import ask, failure_of, infer, matrix, predict
from tests.kit.models.ground import with_ground
from tests.kit.models.repository import WriteModel, write_version
from tests.kit.server.kan_serve import KanServe, Start, serving

_ROWS = np.array([[0, 0.5, 2, 3], [0, 1.5, 2, 500], [-1, 0, 0, 0]], np.float32)
_TOLD = pb.Ground(
    is_known=True,
    unknown_rows=1,
    unknown_cells=2,
    cells=[
        pb.UnknownCell(row=1, column="x1", reason=pb.UnknownCell.REASON_EMPTY_CELL, value=1.5),
        pb.UnknownCell(row=1, column="x3", reason=pb.UnknownCell.REASON_OUTSIDE_RANGE, value=500),
    ],
)


@pytest.fixture(scope="module")
def server(frontend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """A kan-serve of one model for each policy, and of one without histograms; the tests share it."""
    folder = tmp_path_factory.mktemp("shared")
    for policy in ("answer", "flag", "refuse"):
        write_version(folder / "models", "affine", name=policy, change=with_ground(policy))
    write_version(folder / "models", "affine", name="imported")
    write_version(folder / "models", "imputed", change=with_ground("refuse"))
    with serving(folder / "models", "--frontend", frontend, log=folder / "log") as started:
        yield started


def test_predict_tells_where_asked_and_always_under_flag(server: KanServe) -> None:
    """The numbers of the answer are the same; of a model without histograms nothing is known."""

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            plain = await predict(channel, "answer", _ROWS)
            assert not plain.HasField("ground")
            for model, asked in (("answer", True), ("flag", False), ("flag", True)):
                told = await predict(channel, model, _ROWS, report_ground=asked)
                assert told.ground == _TOLD
                assert told.outputs == plain.outputs
            unknown = await predict(channel, "imported", _ROWS, report_ground=True)
            assert unknown.HasField("ground")
            assert unknown.ground == pb.Ground()

    asyncio.run(check())


def test_a_model_that_refuses_names_the_rows(server: KanServe) -> None:
    """Over both protocols, with ranges; rows on known ground are answered, and so is the next request."""

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            for call, where in ((predict, "features"), (infer, "input 'x'")):
                code, message = await failure_of(call(channel, "refuse", _ROWS))
                assert code == "INVALID_ARGUMENT"
                assert message == (
                    f"{where}: 1 of 3 rows lies on unknown ground, which this model refuses: "
                    'row 1, column "x1" is 1.5, in a gap of the training rows (-1 to 3); '
                    'row 1, column "x3" is 500, training had -1 to 3'
                )
                await call(channel, "refuse", _ROWS[::2])
            assert (await predict(channel, "refuse", _ROWS[:1], report_ground=True)).ground == pb.Ground(is_known=True)
            code, message = await failure_of(predict(channel, "refuse", np.full((4096, 4), 9, np.float32)))
            assert code == "INVALID_ARGUMENT"
            assert "4096 of 4096 rows" in message
            assert len(message) < 600

    asyncio.run(check())


def test_a_missing_value_is_known_where_the_model_imputes(server: KanServe) -> None:
    """Also under refuse: the model has learned what to put in its place."""

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            answer = await predict(channel, "imputed", np.array([[np.nan, 0]], np.float32), report_ground=True)
            assert answer.ground == pb.Ground(is_known=True)
            code, message = await failure_of(predict(channel, "imputed", np.array([[np.nan, 9]], np.float32)))
            assert code == "INVALID_ARGUMENT"
            assert 'column "x1" is 9' in message

    asyncio.run(check())


def test_a_stream_tells_and_refuses_message_by_message(server: KanServe) -> None:
    """A refused request gets a failure in its place, and the stream goes on."""

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            method: Any = channel.stream_stream(
                "/kan_api.v1.PredictionService/PredictStream",
                pb.PredictRequest.SerializeToString,
                pb.PredictStreamResponse.FromString,
            )
            requests = [
                pb.PredictRequest(id=str(number), model=model, features=matrix(_ROWS), report_ground=asked)
                for number, (model, asked) in enumerate([("answer", True), ("refuse", False), ("flag", False)])
            ]
            answers = {answer.id: answer async for answer in method(iter(requests), timeout=60)}
            assert answers["0"].prediction.ground == _TOLD
            assert answers["1"].failure.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
            assert 'row 1, column "x1"' in answers["1"].failure.message
            assert answers["2"].prediction.ground == _TOLD

    asyncio.run(check())


def test_open_inference_counts_the_rows_under_flag(server: KanServe) -> None:
    """As a parameter of the answer, 0 too; other models answer as before."""

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            counted = [(await infer(channel, "flag", rows)).parameters for rows in (_ROWS, _ROWS[:1])]
            assert [each["unknown_ground_rows"].int64_param for each in counted] == [1, 0]
            for model in ("answer", "imported"):
                assert not (await infer(channel, model, _ROWS)).parameters

    asyncio.run(check())


def test_the_manifest_tells_the_policy(server: KanServe) -> None:
    """GetModel's answer has it."""

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            policies = [
                (await ask(channel, "GetModel", model=name)).manifest.unknown_ground for name in ("flag", "refuse")
            ]
            assert policies == ["flag", "refuse"]

    asyncio.run(check())


def test_json_over_http_tells_and_refuses_too(kan_serve: Start, write_model: WriteModel) -> None:
    """At Envoy's port, with the names of the messages."""
    for policy in ("answer", "refuse"):
        write_model("affine", name=policy, change=with_ground(policy))
    server = kan_serve("--frontend", "envoy")

    def post(model: str) -> Any:
        body = {"model": model, "report_ground": True, "features": {"rows": 1, "columns": 4, "values": [0, 1.5, 0, 0]}}
        request = urllib.request.Request(
            f"http://{server.grpc}/kan_api.v1.PredictionService/Predict",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    cell = {"row": "0", "column": "x1", "reason": "REASON_EMPTY_CELL", "value": 1.5}
    assert post("answer")["ground"] == {"is_known": True, "unknown_rows": "1", "unknown_cells": "1", "cells": [cell]}
    with pytest.raises(urllib.error.HTTPError) as caught:
        post("refuse")
    with caught.value as refusal:
        assert refusal.code == 400
        assert 'row 0, column "x1" is 1.5' in json.load(refusal)["message"]
