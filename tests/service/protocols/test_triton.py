import asyncio
import shutil
import time
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import pytest

from open_inference import grpc_predict_v2_pb2 as pb
from open_inference import model_config_pb2
from tests.kit.callers.calls import ask_inference, failure_of, infer
from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import Serving

_ROWS = np.array([[0.5, -1, 2, 0], [1, 1, 1, 1], [-3, 0.25, 0, 8]], np.float32)


def test_the_configuration_is_what_a_client_may_send(serving: Serving, write_model: WriteModel) -> None:
    """Tensors without their rows, the largest request and the largest batch, and the versions that answer."""
    for version in (2, 3):
        write_model("classifier", version=version)

    async def check() -> None:
        async with serving(versions="all", max_request_rows=128, max_batch_rows=16) as (_, channel):
            config = (await ask_inference(channel, "ModelConfig", name="classifier", version="2")).config
            assert (config.name, config.platform, config.backend) == ("classifier", "onnxruntime_onnx", "onnxruntime")
            assert config.default_model_filename == "model.onnx"
            fp32, words = model_config_pb2.TYPE_FP32, model_config_pb2.TYPE_STRING
            tensors = [(one.name, one.data_type, list(one.dims)) for one in (*config.input, *config.output)]
            assert tensors == [("x", fp32, [4]), ("y", fp32, [3]), ("label", words, [1])]
            assert config.max_batch_size == 128
            batching = config.dynamic_batching
            assert list(batching.preferred_batch_size) == [16]
            assert (batching.priority_levels, batching.default_priority_level) == (2, 1)
            assert list(config.version_policy.specific.versions) == [2, 3]
            assert (await failure_of(ask_inference(channel, "ModelConfig", name="absent")))[0] == "NOT_FOUND"
            assert (await failure_of(ask_inference(channel, "ModelConfig", name="classifier", version="x")))[
                0
            ] == "INVALID_ARGUMENT"

    asyncio.run(check())


def test_statistics_grow_with_requests(serving: Serving, write_model: WriteModel) -> None:
    """Requests, rows, runs and times are exact; asking, and requests for anything but inference, count nothing."""
    write_model("affine")

    async def check() -> None:
        async with serving() as (_, channel):
            (none,) = (await ask_inference(channel, "ModelStatistics", name="affine", version="1")).model_stats
            assert (none.name, none.version, none.last_inference, none.inference_count) == ("affine", "1", 0, 0)
            before = time.time()
            for rows in (_ROWS, _ROWS, _ROWS[:1]):
                await infer(channel, "affine", rows)
            await failure_of(infer(channel, "affine", _ROWS[:, :2]))
            await ask_inference(channel, "ModelMetadata", name="affine")
            (one,) = (await ask_inference(channel, "ModelStatistics", name="affine")).model_stats
            assert (one.inference_count, one.execution_count) == (7, 3)
            assert before * 1e3 - 1 <= one.last_inference <= time.time() * 1e3
            assert [(batch.batch_size, batch.compute_infer.count) for batch in one.batch_stats] == [(1, 1), (3, 2)]
            stats = one.inference_stats
            assert (stats.success.count, stats.fail.count, stats.queue.count) == (3, 1, 3)
            assert stats.compute_input.count == stats.compute_infer.count == stats.compute_output.count == 3
            assert stats.success.ns >= stats.queue.ns + stats.compute_infer.ns
            assert stats.compute_infer.ns >= sum(batch.compute_infer.ns for batch in one.batch_stats) - 3 > 0
            assert stats.fail.ns > 0

    asyncio.run(check())


def test_statistics_are_of_one_version_or_of_all(serving: Serving, write_model: WriteModel) -> None:
    """Without a name every model; without a version every one that answers; an unknown one is not found."""
    for version in (1, 2):
        write_model("affine", version=version)
    write_model("classifier")

    async def check() -> None:
        async with serving(versions="all") as (_, channel):

            async def asked(**fields: str) -> list[tuple[str, str]]:
                answer = await ask_inference(channel, "ModelStatistics", **fields)
                return [(one.name, one.version) for one in answer.model_stats]

            assert await asked() == [("affine", "1"), ("affine", "2"), ("classifier", "1")]
            assert await asked(name="affine") == [("affine", "1"), ("affine", "2")]
            assert await asked(name="affine", version="1") == [("affine", "1")]
            for fields, code in (
                ({"name": "absent"}, "NOT_FOUND"),
                ({"name": "affine", "version": "9"}, "NOT_FOUND"),
                ({"name": "affine", "version": "x"}, "INVALID_ARGUMENT"),
                ({"version": "1"}, "INVALID_ARGUMENT"),
            ):
                assert (await failure_of(ask_inference(channel, "ModelStatistics", **fields)))[0] == code

    asyncio.run(check())


def test_the_index_lists_versions_with_state_and_reason(serving: Serving, write_model: WriteModel) -> None:
    """Triton's names of states. The filter gives the ready ones. There is one repository, without a name."""
    write_model("affine", version=1)
    (write_model("affine", version=2) / "model.onnx").write_bytes(b"broken")

    async def check() -> None:
        async with serving() as (_, channel):
            index = (await ask_inference(channel, "RepositoryIndex")).models
            assert [(one.name, one.version, one.state) for one in index] == [
                ("affine", "1", "READY"),
                ("affine", "2", "UNAVAILABLE"),
            ]
            assert "model.onnx" in index[1].reason
            assert [one.version for one in (await ask_inference(channel, "RepositoryIndex", ready=True)).models] == [
                "1"
            ]
            assert (await failure_of(ask_inference(channel, "RepositoryIndex", repository_name="b")))[
                0
            ] == "INVALID_ARGUMENT"

    asyncio.run(check())


def test_nobody_takes_a_model_away_unless_it_is_allowed(serving: Serving, write_model: WriteModel) -> None:
    """By default callers neither load nor unload."""
    write_model("affine")

    async def check() -> None:
        async with serving() as (_, channel):
            for name in ("Load", "Unload"):
                code, message = await failure_of(ask_inference(channel, f"RepositoryModel{name}", model_name="affine"))
                assert (code, "allow_load" in message) == ("UNIMPLEMENTED", True)
            assert (await infer(channel, "affine", _ROWS)).model_version == "1"

    asyncio.run(check())


def test_a_model_is_unloaded_and_loaded_again(serving: Serving, write_model: WriteModel) -> None:
    """Unloaded it is not found; loaded it answers, with the newest version that is there now."""
    write_model("affine")
    write_model("classifier")

    async def check() -> None:
        async with serving(poll_seconds=0, allow_load=True) as (_, channel):
            # As Triton's client sends it.
            parameters = {"unload_dependents": {"bool_param": False}}
            await ask_inference(channel, "RepositoryModelUnload", model_name="affine", parameters=parameters)
            assert (await failure_of(infer(channel, "affine", _ROWS)))[0] == "NOT_FOUND"
            assert (await infer(channel, "classifier", _ROWS)).model_version == "1"
            write_model("affine", version=2)
            await ask_inference(channel, "RepositoryModelLoad", model_name="affine")
            assert (await infer(channel, "affine", _ROWS)).model_version == "2"

    asyncio.run(check())


def test_what_cannot_be_loaded_says_why(serving: Serving, write_model: WriteModel, models: Path) -> None:
    """Each error has its status, and loaded versions still answer."""
    write_model("affine")
    write_model("classifier")

    async def check() -> None:
        async with serving(poll_seconds=0, allow_load=True) as (server, channel):
            (write_model("imputed") / "model.onnx").write_bytes(b"broken")
            override = {"config": {"string_param": "{}"}}
            for name, fields, code, message in (
                ("Load", {"model_name": "absent"}, "NOT_FOUND", "absent"),
                ("Load", {"model_name": "../affine"}, "NOT_FOUND", "no version"),
                ("Load", {"model_name": "imputed"}, "UNAVAILABLE", "model.onnx"),
                ("Load", {"model_name": "affine", "repository_name": "b"}, "INVALID_ARGUMENT", "repository_name"),
                ("Load", {"model_name": "affine", "parameters": override}, "INVALID_ARGUMENT", "'config'"),
                ("Load", {}, "INVALID_ARGUMENT", "model_name is missing or empty"),
                ("Unload", {}, "INVALID_ARGUMENT", "model_name is missing or empty"),
                ("Unload", {"model_name": "absent"}, "NOT_FOUND", "absent"),
                ("Unload", {"model_name": "affine", "repository_name": "b"}, "INVALID_ARGUMENT", "repository_name"),
                ("Unload", {"model_name": "affine", "parameters": override}, "INVALID_ARGUMENT", "'config'"),
            ):
                status = await failure_of(ask_inference(channel, f"RepositoryModel{name}", **fields))
                assert status[0] == code, (name, fields, status)
                assert message in status[1], (name, fields, status)
            shutil.rmtree(models)
            assert (await failure_of(ask_inference(channel, "RepositoryModelLoad", model_name="affine")))[
                0
            ] == "UNAVAILABLE"
            assert (await infer(channel, "affine", _ROWS)).model_version == "1"
            await server.registry.drain()
            assert (await failure_of(ask_inference(channel, "RepositoryModelLoad", model_name="affine")))[
                0
            ] == "UNAVAILABLE"

    asyncio.run(check())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        *(
            (f"{kind}SharedMemory{what}", "send the tensors")
            for kind in ("System", "Cuda")
            for what in ("Status", "Register", "Unregister")
        ),
        ("TraceSetting", "ModelStatistics"),
        ("LogSettings", "when it is started"),
    ],
)
def test_what_is_not_here_says_so(serving: Serving, name: str, sentence: str) -> None:
    """A method of the protocol that this server does not have is UNIMPLEMENTED, in a sentence of ours."""

    async def check() -> None:
        async with serving() as (_, channel):
            code, message = await failure_of(ask_inference(channel, name))
            assert code == "UNIMPLEMENTED"
            assert message.startswith(f"{name}: ")
            assert sentence in message

    asyncio.run(check())


def test_every_method_of_the_service_is_in_the_table(serving: Serving, write_model: WriteModel) -> None:
    """None that the .proto names is answered by gRPC's own UNIMPLEMENTED, which has no sentence of ours."""
    write_model("affine")

    async def check() -> None:
        async with serving() as (_, channel):
            for method in pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods:
                path = f"/inference.GRPCInferenceService/{method.name}"
                call: Any = (channel.stream_stream if method.client_streaming else channel.unary_unary)(path)
                # Field 1 as text that is no UTF-8: a message of no method that has fields.
                data = b"\x0a\x01\xff"
                answer: Any = call(iter([data])).read() if method.client_streaming else call(data)
                outcome: Any = (await asyncio.gather(answer, return_exceptions=True))[0]
                told = outcome.details() or "" if isinstance(outcome, grpc.aio.AioRpcError) else ""
                assert "Method not found" not in told, method.name

    asyncio.run(check())
