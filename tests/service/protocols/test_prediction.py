import asyncio
from typing import Any

import numpy as np
import pytest

from kan_api.v1 import prediction_pb2 as pb
from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, TASK_REGRESSION
from tests.kit.callers.calls import ask, failure_of, predict
from tests.kit.models.graphs import Answer
from tests.kit.models.repository import WriteModel
from tests.kit.server.gate import Gate
from tests.kit.server.kan_serve import Serving
from tests.kit.server.metrics import counted
from tests.kit.waiting import until

_ROWS = np.array([[0.5, -1, 2, 0], [1, 1, 1, 1], [-3, 0.25, 0, 8]], np.float32)


def test_the_times_of_an_answer_are_those_that_are_counted(serving: Serving, write_model: WriteModel) -> None:
    """For requests that each fill a run, the sum of the times in answers equals the sum in Prometheus."""
    write_model("slow")
    rows = np.ones((64, 4), np.float32)

    async def check() -> None:
        async with serving(max_batch_rows=64) as (server, channel):
            answers: list[Any] = []
            # Four at once until one of them has waited for another.
            while not any(one.queue_seconds > one.compute_seconds for one in answers):
                answers += await asyncio.gather(*(predict(channel, "slow", rows) for _ in range(4)))
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
            raw = await predict(channel, "classifier", _ROWS, id="a7")
            assert (raw.id, raw.model, raw.version) == ("a7", "classifier", 3)
            assert [output.name for output in raw.outputs] == ["y"]
            values = np.frombuffer(raw.outputs[0].values.raw, "<f4").reshape(3, 3)
            np.testing.assert_allclose(values, answer("classifier", _ROWS), rtol=1e-5)
            readable = pb.Matrix(rows=3, columns=4, values=_ROWS.ravel().tolist())
            listed = await ask(channel, "Predict", model="classifier", features=readable)
            np.testing.assert_array_equal(np.array(listed.outputs[0].values.values, np.float32), values.ravel())

    asyncio.run(check())


def test_version_0_is_the_latest(serving: Serving, write_model: WriteModel) -> None:
    """Version 0 and no version answer from the newest; a version that is not served is not found."""
    for version in (1, 2):
        write_model("affine", version=version)

    async def check() -> None:
        async with serving() as (_, channel):
            assert (await predict(channel, "affine", _ROWS)).version == 2
            assert (await predict(channel, "affine", _ROWS, version=2)).version == 2
            assert (await failure_of(predict(channel, "affine", _ROWS, version=9)))[0] == "NOT_FOUND"

    asyncio.run(check())


_MISTAKES = [
    ("absent", _ROWS, 0, "NOT_FOUND", "affine"),
    ("", _ROWS, 0, "INVALID_ARGUMENT", "model is missing or empty; wanted the name of a model"),
    ("é" * 100_000, _ROWS, 0, "NOT_FOUND", "unknown"),
    ("affine", _ROWS, -1, "INVALID_ARGUMENT", "-1"),
    ("affine", _ROWS, 2**62, "NOT_FOUND", "4611686018427387904"),
    ("affine", _ROWS[:, :3], 0, "INVALID_ARGUMENT", "3 columns"),
    ("affine", np.zeros((0, 4), np.float32), 0, "INVALID_ARGUMENT", "0 rows"),
    ("affine", np.zeros((9, 4), np.float32), 0, "INVALID_ARGUMENT", "9 rows"),
    ("affine", np.full((1, 4), np.nan, np.float32), 0, "INVALID_ARGUMENT", "nan"),
]


def test_what_does_not_fit_gets_its_status(serving: Serving, write_model: WriteModel) -> None:
    """Each error has its status and says what was wanted. The server answers after each."""
    write_model("affine")

    async def check() -> None:
        async with serving(max_request_rows=8) as (server, channel):
            for model, rows, version, code, message in _MISTAKES:
                status = await failure_of(predict(channel, model, rows, version=version))
                assert status[0] == code, status
                assert message in status[1]
                assert (await predict(channel, "affine", _ROWS)).version == 1
            bare: Any = channel.unary_unary("/kan_api.v1.PredictionService/Predict")
            assert (await failure_of(bare(b"\xff\xff")))[0] == "INVALID_ARGUMENT"
            assert (await failure_of(channel.unary_unary("/kan_api.v1.PredictionService/Nothing")(b"")))[
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
            assert (await failure_of(predict(channel, "affine", np.zeros((256, 4), np.float32))))[
                0
            ] == "RESOURCE_EXHAUSTED"
            assert (await predict(channel, "affine", _ROWS)).version == 1

    asyncio.run(check())


def test_callers_at_once_share_runs(gate: Gate, serving: Serving, write_model: WriteModel, answer: Answer) -> None:
    """Many callers at once are answered each with its own rows, in fewer runs than there are callers."""
    write_model("slow")
    rows = np.arange(64 * 4, dtype=np.float32).reshape(64, 1, 4)

    async def check() -> None:
        async with serving() as (server, channel):
            with gate.closed():
                calls = [asyncio.ensure_future(predict(channel, "slow", row)) for row in rows]
                await until(lambda: counted(server, "kan_request_rows_count", model="slow") == 64)
            answers = await asyncio.gather(*calls)
            values = [np.frombuffer(one.outputs[0].values.raw, "<f4") for one in answers]
            np.testing.assert_allclose(np.array(values), answer("slow", rows[:, 0]), rtol=1e-4)
            labels = {"model": "slow", "version": "1"}
            assert server.metrics.registry.get_sample_value("kan_batch_rows_sum", labels) == 64
            assert server.metrics.registry.get_sample_value("kan_batch_rows_count", labels) == 2

    asyncio.run(check())


def test_a_caller_who_leaves_takes_nobody_along(gate: Gate, serving: Serving, write_model: WriteModel) -> None:
    """If one of several requests is cancelled, the others get their answers. The cancel is counted."""
    write_model("slow")

    async def check() -> None:
        async with serving() as (server, channel):
            with gate.closed():
                calls = [asyncio.ensure_future(predict(channel, "slow", _ROWS)) for _ in range(12)]
                await until(lambda: counted(server, "kan_request_rows_count", model="slow") >= 12)
                for call in calls[::2]:
                    call.cancel()
                codes = {"model": "slow", "version": "1", "protocol": "kan_api", "code": "CANCELLED"}
                await until(lambda: counted(server, "kan_requests_total", **codes) == 6)
            stayed = await asyncio.gather(*calls[1::2])
            assert [one.version for one in stayed] == [1] * 6
            assert counted(server, "kan_requests_total", **{**codes, "code": "OK"}) == 6

    asyncio.run(check())


def test_a_deadline_that_passes_ends_the_wait(gate: Gate, serving: Serving, write_model: WriteModel) -> None:
    """A caller whose deadline passes in the queue gets DEADLINE_EXCEEDED; the server counts it and lives on."""
    write_model("slow")

    async def check() -> None:
        async with serving() as (server, channel):
            with gate.closed():
                busy = asyncio.ensure_future(predict(channel, "slow", _ROWS))
                await until(lambda: counted(server, "kan_request_rows_count", model="slow") == 1)
                seconds = 1.0
                while counted(server, "kan_request_rows_count") == 1:  # until one is in time to arrive
                    seconds *= 2
                    late = predict(channel, "slow", _ROWS, seconds=seconds)
                    assert (await failure_of(late))[0] == "DEADLINE_EXCEEDED"
            assert (await busy).version == 1
            code = {"protocol": "kan_api", "code": "DEADLINE_EXCEEDED"}
            await until(lambda: counted(server, "kan_requests_total", model="slow", **code) == 1)

    asyncio.run(check())


def test_bulk_lets_others_go_first(gate: Gate, serving: Serving, write_model: WriteModel) -> None:
    """A small request is answered while a large bulk one, which arrived before it, still waits.

    An unknown priority is refused.
    """
    write_model("slow")

    async def check() -> None:
        async with serving() as (server, channel):
            large = np.ones((4096, 4), np.float32)
            with gate.closed():
                bulk = asyncio.ensure_future(predict(channel, "slow", large, priority=pb.PRIORITY_BULK))
                await until(lambda: counted(server, "kan_queue_rows", model="slow") > 0)
                interactive = asyncio.ensure_future(predict(channel, "slow", _ROWS))
                await until(lambda: counted(server, "kan_queue_rows", model="slow") == 4096 - 512 + len(_ROWS))
                gate.let(2)  # the run under way, and the next
                assert (await interactive).version == 1
                assert not bulk.done()
            assert (await bulk).outputs[0].values.rows == 4096
            for priority in (2, -1, 2**31 - 1):
                code, message = await failure_of(predict(channel, "slow", _ROWS, priority=priority))
                assert code == "INVALID_ARGUMENT"
                assert str(priority) in message

    asyncio.run(check())


def test_a_broken_version_is_listed_and_the_older_answers(serving: Serving, write_model: WriteModel) -> None:
    """A version that does not match its manifest is refused with a reason; the one before it is the latest."""
    write_model("affine", version=1)
    (write_model("affine", version=2) / "model.onnx").write_bytes(b"broken")
    write_model("classifier")

    async def check() -> None:
        async with serving() as (_, channel):
            assert (await predict(channel, "affine", _ROWS)).version == 1
            assert (await failure_of(predict(channel, "affine", _ROWS, version=2)))[0] == "UNAVAILABLE"
            models = (
                await ask(
                    channel,
                    "ListModels",
                )
            ).models
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
                manifest = (await ask(channel, "GetModel", model="classifier", version=version)).manifest
                assert (manifest.name, manifest.version) == ("classifier", 2)
                assert list(manifest.classes) == ["red", "green", "blue"]
            assert (await failure_of(ask(channel, "GetModel", model="x")))[0] == "NOT_FOUND"
            bad = ask(channel, "GetModel", model="classifier", version=-2)
            assert (await failure_of(bad))[0] == "INVALID_ARGUMENT"

    asyncio.run(check())
