import asyncio
import time
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_inference import grpc_predict_v2_pb2 as pb
from service.metrics.metrics import Metrics
from service.protocols import open_inference
from service.registry.registry import Registry
from service.rpc.calls import RequestContext, Unary
from service.settings import Settings
from tests.kit.callers.calls import ask_inference, failure_of, infer
from tests.kit.models.graphs import Answer
from tests.kit.models.repository import WriteModel
from tests.kit.server.gate import Gate
from tests.kit.server.kan_serve import Serving
from tests.kit.waiting import until

_ROWS = np.array([[0.5, -1, 2, 0], [1, 1, 1, 1], [-3, 0.25, 0, 8]], np.float32)


def test_infer_answers_as_numpy_does(serving: Serving, write_model: WriteModel, answer: Answer) -> None:
    """Raw and typed contents get numpy's answer in their own form, with id, name and version."""
    write_model("classifier", version=3)

    async def check() -> None:
        async with serving() as (_, channel):
            raw = await infer(channel, "classifier", _ROWS, id="a7", outputs=[{"name": "y"}])
            assert (raw.id, raw.model_name, raw.model_version) == ("a7", "classifier", "3")
            assert (raw.outputs[0].name, raw.outputs[0].datatype, list(raw.outputs[0].shape)) == ("y", "FP32", [3, 3])
            values = np.frombuffer(raw.raw_output_contents[0], "<f4").reshape(3, 3)
            np.testing.assert_allclose(values, answer("classifier", _ROWS), rtol=1e-5)
            contents = {"fp32_contents": _ROWS.ravel().tolist()}
            tensor = {"name": "x", "datatype": "FP32", "shape": _ROWS.shape, "contents": contents}
            typed = await ask_inference(
                channel, "ModelInfer", model_name="classifier", model_version="3", inputs=[tensor]
            )
            assert not typed.raw_output_contents
            np.testing.assert_array_equal(np.array(typed.outputs[0].contents.fp32_contents, np.float32), values.ravel())

    asyncio.run(check())


def test_what_does_not_fit_gets_its_status(serving: Serving, write_model: WriteModel) -> None:
    """Each error has its status and says what was wanted. The server answers after each."""
    write_model("affine")

    async def check() -> None:
        async with serving(max_request_rows=8) as (_, channel):
            for model, rows, fields, code, message in (
                ("absent", _ROWS, {}, "NOT_FOUND", "affine"),
                ("affine", _ROWS, {"model_version": "7"}, "NOT_FOUND", "version 7"),
                ("affine", _ROWS, {"model_version": "one"}, "INVALID_ARGUMENT", "model version is 'one'; wanted"),
                ("affine", _ROWS, {"model_version": "-1"}, "INVALID_ARGUMENT", "model version is '-1'; wanted"),
                ("affine", _ROWS, {"model_version": "9" * 5000}, "INVALID_ARGUMENT", "wanted a number"),
                ("affine", _ROWS[:, :3], {}, "INVALID_ARGUMENT", "has 3 columns; model 'affine' wants 4"),
                ("affine", np.zeros((0, 4), np.float32), {}, "INVALID_ARGUMENT", "has 0 rows; wanted 1 to 8"),
                ("affine", np.zeros((9, 4), np.float32), {}, "INVALID_ARGUMENT", "has 9 rows; wanted 1 to 8"),
                ("affine", np.full((1, 4), np.inf, np.float32), {}, "INVALID_ARGUMENT", "is inf; wanted a finite"),
                ("affine", _ROWS, {"outputs": [{"name": "z"}]}, "INVALID_ARGUMENT", "output 'z' is asked for"),
            ):
                status = await failure_of(infer(channel, model, rows, **fields))
                assert status[0] == code, status
                assert message in status[1]
                assert (await infer(channel, "affine", _ROWS)).model_version == "1"
            bare: Any = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            assert (await failure_of(bare(b"\xff\xff")))[0] == "INVALID_ARGUMENT"

    asyncio.run(check())


def test_both_protocols_share_runs(gate: Gate, serving: Serving, write_model: WriteModel) -> None:
    """Callers at once are batched, and counted under their own protocol."""
    write_model("slow")

    async def check() -> None:
        async with serving() as (server, channel):
            labels = {"model": "slow", "version": "1"}
            sample = server.metrics.registry.get_sample_value
            with gate.closed():
                calls = [asyncio.ensure_future(infer(channel, "slow", _ROWS[:1])) for _ in range(32)]
                await until(lambda: sample("kan_request_rows_count", labels) == 32)
            await asyncio.gather(*calls)
            assert sample("kan_batch_rows_sum", labels) == 32
            assert sample("kan_batch_rows_count", labels) == 2
            assert sample("kan_requests_total", {**labels, "protocol": "open_inference", "code": "OK"}) == 32

    asyncio.run(check())


def test_a_request_may_bring_its_own_deadline(gate: Gate, serving: Serving, write_model: WriteModel) -> None:
    """The parameter "timeout", in microseconds, ends the wait in the queue. 0 is none; a text is refused."""
    write_model("slow")

    async def check() -> None:
        async with serving() as (server, channel):
            labels = {"model": "slow", "version": "1"}
            sample = server.metrics.registry.get_sample_value
            with gate.closed():
                busy = asyncio.ensure_future(infer(channel, "slow", _ROWS))
                await until(lambda: sample("kan_request_rows_count", labels) == 1)
                late = asyncio.ensure_future(
                    infer(channel, "slow", _ROWS, parameters={"timeout": {"int64_param": 1000}})
                )
                # On a busy machine the millisecond may be over before the rows are in the queue.
                await until(lambda: late.done() or sample("kan_queue_rows", labels) == len(_ROWS))
                came = time.monotonic()
                await until(lambda: time.monotonic() > came + 1e-3)
            assert (await failure_of(late))[0] == "DEADLINE_EXCEEDED"
            assert (await busy).model_version == "1"
            for fine in ({"int64_param": 0}, {"uint64_param": 10**7}, {"int64_param": 2**62}):
                assert (await infer(channel, "slow", _ROWS, parameters={"timeout": fine})).model_version == "1"
            for wrong in ({"int64_param": -1}, {"string_param": "1000"}, {}):
                code, message = await failure_of(infer(channel, "slow", _ROWS, parameters={"timeout": wrong}))
                assert code == "INVALID_ARGUMENT"
                assert "microseconds" in message

    asyncio.run(check())


@pytest.mark.slow
def test_bulk_lets_others_go_first(gate: Gate, serving: Serving, write_model: WriteModel) -> None:
    """The parameter "priority": 2 is bulk, which waits for interactive requests; 0 and 1 are interactive.

    Other values are refused.
    """
    write_model("slow")

    async def check() -> None:
        async with serving() as (server, channel):
            labels = {"model": "slow", "version": "1"}
            sample = server.metrics.registry.get_sample_value
            for choice in ("uint64_param", "int64_param"):
                large = np.ones((4096, 4), np.float32)
                with gate.closed():
                    bulk = asyncio.ensure_future(infer(channel, "slow", large, parameters={"priority": {choice: 2}}))
                    await until(lambda: sample("kan_queue_rows", labels) > 0)
                    interactive = [{"priority": {choice: priority}} for priority in (0, 1)]
                    calls = [
                        asyncio.ensure_future(infer(channel, "slow", _ROWS, parameters=one)) for one in interactive
                    ]
                    await until(lambda: sample("kan_queue_rows", labels) == 4096 - 512 + 2 * len(_ROWS))
                    gate.let(3)  # the run under way, and two more, of which one may be bulk's turn
                    assert [one.model_version for one in await asyncio.gather(*calls)] == ["1", "1"]
                    assert not bulk.done()
                assert list((await bulk).outputs[0].shape) == [4096, 1]
            for wrong, shown in (
                ({"uint64_param": 3}, "uint64_param: 3"),
                ({"int64_param": -1}, "int64_param: -1"),
                ({"uint64_param": 2**64 - 1}, "uint64_param: 18446744073709551615"),
                ({"string_param": "bulk"}, 'string_param: "bulk"'),
                ({"bool_param": True}, "bool_param: true"),
                ({}, "empty"),
            ):
                code, message = await failure_of(infer(channel, "slow", _ROWS, parameters={"priority": wrong}))
                assert code == "INVALID_ARGUMENT"
                assert shown in message

    asyncio.run(check())


def test_labels_come_beside_probabilities(serving: Serving, write_model: WriteModel, answer: Answer) -> None:
    """The class of the largest probability, in the form of the request, only if the request names the output."""
    write_model("classifier")
    expected = [[b"red", b"green", b"blue"][place] for place in answer("classifier", _ROWS).argmax(axis=1)]

    async def check() -> None:
        async with serving() as (_, channel):
            assert [one.name for one in (await infer(channel, "classifier", _ROWS)).outputs] == ["y"]
            outputs = [{"name": "label"}, {"name": "y"}]
            raw = await infer(channel, "classifier", _ROWS, outputs=outputs)
            assert [(one.name, one.datatype, list(one.shape)) for one in raw.outputs] == [
                ("label", "BYTES", [3, 1]),
                ("y", "FP32", [3, 3]),
            ]
            assert raw.raw_output_contents[0] == b"".join(bytes([len(word), 0, 0, 0]) + word for word in expected)
            values = np.frombuffer(raw.raw_output_contents[1], "<f4").reshape(3, 3)
            np.testing.assert_allclose(values, answer("classifier", _ROWS), rtol=1e-5)
            contents = {"fp32_contents": _ROWS.ravel().tolist()}
            tensor = {"name": "x", "datatype": "FP32", "shape": _ROWS.shape, "contents": contents}
            asked: dict[str, Any] = {"model_name": "classifier", "inputs": [tensor], "outputs": outputs[:1]}
            typed = await ask_inference(channel, "ModelInfer", **asked)
            assert [one.name for one in typed.outputs] == ["label"]
            assert list(typed.outputs[0].contents.bytes_contents) == expected

    asyncio.run(check())


def test_metadata_tells_names_types_and_shapes(serving: Serving, write_model: WriteModel) -> None:
    """Names and versions of server and model; -1 means any number of rows."""
    write_model("classifier", version=2)

    async def check() -> None:
        async with serving() as (_, channel):
            server = await ask_inference(channel, "ServerMetadata")
            assert (server.name, server.version) == ("kan-serve", installed_version("kan-serving"))
            assert list(server.extensions) == ["model_configuration", "model_repository", "statistics"]
            model = await ask_inference(channel, "ModelMetadata", name="classifier")
            assert (model.name, list(model.versions), model.platform) == ("classifier", ["2"], "onnxruntime_onnx")
            tensors = [(one.name, one.datatype, list(one.shape)) for one in (*model.inputs, *model.outputs)]
            assert tensors == [("x", "FP32", [-1, 4]), ("y", "FP32", [-1, 3]), ("label", "BYTES", [-1, 1])]
            assert (await failure_of(ask_inference(channel, "ModelMetadata", name="absent")))[0] == "NOT_FOUND"

    asyncio.run(check())


def test_readiness_is_told_per_server_and_model(serving: Serving, write_model: WriteModel) -> None:
    """Live and ready while models answer; a refused version is not ready, an unknown model is not found."""
    write_model("affine", version=1)
    (write_model("affine", version=2) / "model.onnx").write_bytes(b"broken")

    async def check() -> None:
        async with serving() as (server, channel):
            assert (await ask_inference(channel, "ServerLive")).live
            assert (await ask_inference(channel, "ServerReady")).ready
            for version, ready in (("", True), ("1", True), ("2", False)):
                assert (await ask_inference(channel, "ModelReady", name="affine", version=version)).ready is ready
            assert (await failure_of(ask_inference(channel, "ModelReady", name="absent")))[0] == "NOT_FOUND"
            await server.registry.drain()
            assert (await ask_inference(channel, "ServerLive")).live
            assert not (await ask_inference(channel, "ServerReady")).ready
            assert not (await ask_inference(channel, "ModelReady", name="affine")).ready
            assert (await failure_of(infer(channel, "affine", _ROWS)))[0] == "UNAVAILABLE"

    asyncio.run(check())


def test_an_empty_repository_is_live_and_not_ready(serving: Serving) -> None:
    """A server without models lives, and says that it should get no requests."""

    async def check() -> None:
        async with serving() as (_, channel):
            assert (await ask_inference(channel, "ServerLive")).live
            assert not (await ask_inference(channel, "ServerReady")).ready
            assert not (await ask_inference(channel, "RepositoryIndex")).models

    asyncio.run(check())


def test_the_base_stands_without_its_extensions(models: Path) -> None:
    """By itself it has the standard's six methods, and names no extension."""
    methods = open_inference.methods(Registry(Settings(models=models), Metrics()), 8)
    names = {method.path.rpartition("/")[2]: method for method in methods}
    assert set(names) == {"ServerLive", "ServerReady", "ServerMetadata", "ModelReady", "ModelMetadata", "ModelInfer"}
    metadata = names["ServerMetadata"]
    assert isinstance(metadata, Unary)

    async def check() -> None:
        answer = await metadata.answer(RequestContext(), b"")
        assert list(pb.ServerMetadataResponse.FromString(answer).extensions) == []

    asyncio.run(check())
