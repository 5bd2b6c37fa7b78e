import asyncio
import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from numpy.typing import NDArray

from kan_api.v1 import prediction_pb2 as pb
from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, TASK_REGRESSION

Serving = Callable[..., AbstractAsyncContextManager[Any]]
WriteModel = Callable[..., Path]
Answer = Callable[[str, NDArray[np.float32]], NDArray[np.float32]]

_ROWS = np.array([[0.5, -1, 2, 0], [1, 1, 1, 1], [-3, 0.25, 0, 8]], np.float32)


def _matrix(rows: NDArray[np.float32]) -> pb.Matrix:
    return pb.Matrix(rows=rows.shape[0], columns=rows.shape[1], raw=rows.tobytes())


async def _call(channel: grpc.aio.Channel, name: str, request: Any, seconds: float = 60) -> Any:
    response = getattr(pb, f"{name}Response")
    method: Any = channel.unary_unary(
        f"/kan_api.v1.PredictionService/{name}", type(request).SerializeToString, response.FromString
    )
    return await method(request, timeout=seconds)


async def _predict(channel: grpc.aio.Channel, model: str, rows: NDArray[np.float32], **fields: Any) -> Any:
    return await _call(channel, "Predict", pb.PredictRequest(model=model, features=_matrix(rows), **fields))


async def _code(answer: Any) -> tuple[str, str]:
    """Status and message of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await answer
    return caught.value.code().name, caught.value.details() or ""


def test_the_times_of_an_answer_are_those_that_are_counted(serving: Serving, write_model: WriteModel) -> None:
    """For requests that each fill a run, the sum of the times in answers equals the sum in Prometheus."""
    write_model("slow")
    rows = np.ones((64, 4), np.float32)

    async def check() -> None:
        async with serving(max_batch_rows=64) as (server, channel):
            answers: list[Any] = []
            # Four at once until one of them has waited for another.
            while not any(one.queue_seconds > one.compute_seconds for one in answers):
                answers += await asyncio.gather(*(_predict(channel, "slow", rows) for _ in range(4)))
            labels = {"model": "slow", "version": "1"}
            for what in ("queue", "compute"):
                told = sum(getattr(one, f"{what}_seconds") for one in answers)
                counted = server.metrics.registry.get_sample_value(f"kan_{what}_duration_seconds_sum", labels)
                assert told == pytest.approx(counted, rel=1e-9)
            assert min(one.compute_seconds for one in answers) > 0

    asyncio.run(asyncio.wait_for(check(), 60))


def test_predict_answers_as_numpy_does(serving: Serving, write_model: WriteModel, answer: Answer) -> None:
    """The answer is numpy's, in the form of the request, with id, name and version."""
    write_model("classifier", version=3)

    async def check() -> None:
        async with serving() as (_, channel):
            raw = await _predict(channel, "classifier", _ROWS, id="a7")
            assert (raw.id, raw.model, raw.version) == ("a7", "classifier", 3)
            assert [output.name for output in raw.outputs] == ["y"]
            values = np.frombuffer(raw.outputs[0].values.raw, "<f4").reshape(3, 3)
            np.testing.assert_allclose(values, answer("classifier", _ROWS), rtol=1e-5)
            readable = pb.Matrix(rows=3, columns=4, values=_ROWS.ravel().tolist())
            listed = await _call(channel, "Predict", pb.PredictRequest(model="classifier", features=readable))
            np.testing.assert_array_equal(np.array(listed.outputs[0].values.values, np.float32), values.ravel())

    asyncio.run(check())


def test_version_0_is_the_latest(serving: Serving, write_model: WriteModel) -> None:
    """Version 0 and no version answer from the newest; a version that is not served is not found."""
    for version in (1, 2):
        write_model("affine", version=version)

    async def check() -> None:
        async with serving() as (_, channel):
            assert (await _predict(channel, "affine", _ROWS)).version == 2
            assert (await _predict(channel, "affine", _ROWS, version=2)).version == 2
            assert (await _code(_predict(channel, "affine", _ROWS, version=9)))[0] == "NOT_FOUND"

    asyncio.run(check())


_MISTAKES = [
    ("absent", _ROWS, 0, "NOT_FOUND", "affine"),
    ("", _ROWS, 0, "NOT_FOUND", "affine"),
    ("é" * 100_000, _ROWS, 0, "NOT_FOUND", "unknown"),
    ("affine", _ROWS, -1, "INVALID_ARGUMENT", "version is -1; wanted"),
    ("affine", _ROWS, 2**62, "NOT_FOUND", "4611686018427387904"),
    ("affine", _ROWS[:, :3], 0, "INVALID_ARGUMENT", "has 3 columns; model 'affine' wants 4"),
    ("affine", np.zeros((0, 4), np.float32), 0, "INVALID_ARGUMENT", "has 0 rows; wanted 1 to 8"),
    ("affine", np.zeros((9, 4), np.float32), 0, "INVALID_ARGUMENT", "has 9 rows; wanted 1 to 8"),
    ("affine", np.full((1, 4), np.nan, np.float32), 0, "INVALID_ARGUMENT", "row 0, column 0 ('x0') is nan"),
]


def test_what_does_not_fit_gets_its_status(serving: Serving, write_model: WriteModel) -> None:
    """Each error has its status and says what was wanted. The server answers after each."""
    write_model("affine")

    async def check() -> None:
        async with serving(max_request_rows=8) as (server, channel):
            for model, rows, version, code, message in _MISTAKES:
                status = await _code(_predict(channel, model, rows, version=version))
                assert status[0] == code, status
                assert message in status[1]
                assert (await _predict(channel, "affine", _ROWS)).version == 1
            bare: Any = channel.unary_unary("/kan_api.v1.PredictionService/Predict")
            assert (await _code(bare(b"\xff\xff")))[0] == "INVALID_ARGUMENT"
            assert (await _code(channel.unary_unary("/kan_api.v1.PredictionService/Nothing")(b"")))[
                0
            ] == "UNIMPLEMENTED"
            invalid = {"model": "affine", "version": "1", "reason": "invalid"}
            assert server.metrics.registry.get_sample_value("kan_rejected_total", invalid) == 4

    asyncio.run(check())


def test_a_message_past_the_bound_is_refused(serving: Serving, write_model: WriteModel) -> None:
    """A request larger than max_message_bytes is RESOURCE_EXHAUSTED, and the next one is answered."""
    write_model("affine")

    async def check() -> None:
        async with serving(max_message_bytes=2048) as (_, channel):
            assert (await _code(_predict(channel, "affine", np.zeros((256, 4), np.float32))))[0] == "RESOURCE_EXHAUSTED"
            assert (await _predict(channel, "affine", _ROWS)).version == 1

    asyncio.run(check())


def test_callers_at_once_share_runs(gate: Any, serving: Serving, write_model: WriteModel, answer: Answer) -> None:
    """Many callers at once are answered each with its own rows, in fewer runs than there are callers."""
    write_model("slow")
    rows = np.arange(64 * 4, dtype=np.float32).reshape(64, 1, 4)

    async def check() -> None:
        async with serving() as (server, channel):
            with gate.closed():
                calls = [asyncio.ensure_future(_predict(channel, "slow", row)) for row in rows]
                await _until(lambda: _sample(server, "kan_request_rows_count", "slow") == 64)
            answers = await asyncio.gather(*calls)
            values = [np.frombuffer(one.outputs[0].values.raw, "<f4") for one in answers]
            np.testing.assert_allclose(np.array(values), answer("slow", rows[:, 0]), rtol=1e-4)
            labels = {"model": "slow", "version": "1"}
            assert server.metrics.registry.get_sample_value("kan_batch_rows_sum", labels) == 64
            assert server.metrics.registry.get_sample_value("kan_batch_rows_count", labels) == 2

    asyncio.run(check())


def test_a_caller_who_leaves_takes_nobody_along(gate: Any, serving: Serving, write_model: WriteModel) -> None:
    """If one of several requests is cancelled, the others get their answers. The cancel is counted."""
    write_model("slow")

    async def check() -> None:
        async with serving() as (server, channel):
            with gate.closed():
                calls = [asyncio.ensure_future(_predict(channel, "slow", _ROWS)) for _ in range(12)]
                await _until(lambda: _sample(server, "kan_request_rows_count", "slow") >= 12)
                for call in calls[::2]:
                    call.cancel()
                codes = {"model": "slow", "version": "1", "protocol": "kan_api", "code": "CANCELLED"}
                await _until(lambda: _total(server, codes) == 6)
            stayed = await asyncio.gather(*calls[1::2])
            assert [one.version for one in stayed] == [1] * 6
            assert _total(server, {**codes, "code": "OK"}) == 6

    asyncio.run(check())


def test_a_deadline_that_passes_ends_the_wait(gate: Any, serving: Serving, write_model: WriteModel) -> None:
    """A caller whose deadline passes in the queue gets DEADLINE_EXCEEDED; the server counts it and lives on."""
    write_model("slow")

    async def check() -> None:
        async with serving() as (server, channel):
            with gate.closed():
                busy = asyncio.ensure_future(_predict(channel, "slow", _ROWS))
                await _until(lambda: _sample(server, "kan_request_rows_count", "slow") == 1)
                request = pb.PredictRequest(model="slow", features=_matrix(_ROWS))
                # Long enough to arrive.
                assert (await _code(_call(channel, "Predict", request, seconds=2)))[0] == "DEADLINE_EXCEEDED"
            assert (await busy).version == 1
            late = {"model": "slow", "version": "1", "protocol": "kan_api", "code": "DEADLINE_EXCEEDED"}
            await _until(lambda: server.metrics.registry.get_sample_value("kan_requests_total", late) == 1)

    asyncio.run(check())


def test_bulk_lets_others_go_first(gate: Any, serving: Serving, write_model: WriteModel) -> None:
    """A small request is answered while a large bulk one, which arrived before it, still waits.

    An unknown priority is refused.
    """
    write_model("slow")

    async def check() -> None:
        async with serving() as (server, channel):
            large = np.ones((4096, 4), np.float32)
            with gate.closed():
                bulk = asyncio.ensure_future(_predict(channel, "slow", large, priority=pb.PRIORITY_BULK))
                await _until(lambda: _sample(server, "kan_queue_rows", "slow") > 0)
                interactive = asyncio.ensure_future(_predict(channel, "slow", _ROWS))
                await _until(lambda: _sample(server, "kan_queue_rows", "slow") == 4096 - 512 + len(_ROWS))
                gate.let(2)  # the run under way, and the next
                assert (await interactive).version == 1
                assert not bulk.done()
            assert (await bulk).outputs[0].values.rows == 4096
            for priority in (2, -1, 2**31 - 1):
                code, message = await _code(_predict(channel, "slow", _ROWS, priority=priority))
                assert code == "INVALID_ARGUMENT"
                assert message == f"priority is {priority}; wanted 0 (interactive) or 1 (PRIORITY_BULK)"

    asyncio.run(check())


def test_more_than_the_queue_holds_is_refused_at_once(gate: Any, serving: Serving, write_model: WriteModel) -> None:
    """Rows above the bound get RESOURCE_EXHAUSTED. Accepted ones are answered, and free room is used again."""
    write_model("slow")
    rows = np.ones((512, 4), np.float32)

    async def check() -> None:
        async with serving(max_queue_rows=512, max_request_rows=512, max_batch_rows=256) as (server, channel):
            with gate.closed():
                accepted = asyncio.ensure_future(_predict(channel, "slow", rows))
                await _until(lambda: _sample(server, "kan_request_rows_count", "slow") == 1)
                code, message = await _code(_predict(channel, "slow", rows))
                assert code == "RESOURCE_EXHAUSTED"
                assert "512" in message
            assert (await accepted).version == 1
            assert (await _predict(channel, "slow", rows)).version == 1

    asyncio.run(check())


def test_a_broken_version_is_listed_and_the_older_answers(serving: Serving, write_model: WriteModel) -> None:
    """A version that does not match its manifest is refused with a reason; the one before it is the latest."""
    write_model("affine", version=1)
    (write_model("affine", version=2) / "model.onnx").write_bytes(b"broken")
    write_model("classifier")

    async def check() -> None:
        async with serving() as (_, channel):
            assert (await _predict(channel, "affine", _ROWS)).version == 1
            assert (await _code(_predict(channel, "affine", _ROWS, version=2)))[0] == "UNAVAILABLE"
            models = (await _call(channel, "ListModels", pb.ListModelsRequest())).models
            assert [(one.name, one.version, one.latest) for one in models] == [
                ("affine", 1, True),
                ("affine", 2, False),
                ("classifier", 1, True),
            ]
            ready, refused = pb.MODEL_STATE_READY, pb.MODEL_STATE_REFUSED
            assert [one.state for one in models] == [ready, refused, ready]
            assert "model.onnx" in models[1].reason
            assert (models[0].task, models[0].feature_count) == (TASK_REGRESSION, 4)
            assert models[2].task == TASK_CLASSIFICATION

    asyncio.run(check())


def test_get_model_gives_the_manifest(serving: Serving, write_model: WriteModel) -> None:
    """The manifest of the latest version, or of the one that is named."""
    write_model("classifier", version=2)

    async def check() -> None:
        async with serving() as (_, channel):
            for version in (0, 2):
                request = pb.GetModelRequest(model="classifier", version=version)
                manifest = (await _call(channel, "GetModel", request)).manifest
                assert (manifest.name, manifest.version) == ("classifier", 2)
                assert list(manifest.classes) == ["red", "green", "blue"]
            assert (await _code(_call(channel, "GetModel", pb.GetModelRequest(model="x"))))[0] == "NOT_FOUND"
            bad = pb.GetModelRequest(model="classifier", version=-2)
            assert (await _code(_call(channel, "GetModel", bad)))[0] == "INVALID_ARGUMENT"

    asyncio.run(check())


def _sample(server: Any, name: str, model: str) -> float:
    value: float | None = server.metrics.registry.get_sample_value(name, {"model": model, "version": "1"})
    return value or 0.0


def _total(server: Any, labels: dict[str, str]) -> float:
    """Requests with these labels, whatever their code."""
    return math.fsum(
        sample.value
        for metric in server.metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "kan_requests_total" and labels.items() <= sample.labels.items()
    )


async def _until(reached: Callable[[], bool]) -> None:
    """Give the event loop turns until something is so."""
    async with asyncio.timeout(60):
        while not reached():  # noqa: ASYNC110 - a metric cannot be waited for
            await asyncio.sleep(0.001)
