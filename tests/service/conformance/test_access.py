"""Tokens: who may do what, on every method of both front ends."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import grpc
import grpc.aio
import numpy as np
import pytest
from grpc_health.v1 import health_pb2

from kan_api.v1 import prediction_pb2 as pb
from tests.kit.callers import http2
from tests.kit.callers.calls import ask, ask_inference, failure_of, infer, predict
from tests.kit.callers.methods import code_of, offered_methods
from tests.kit.callers.protocols import PROTOCOLS, Protocol
from tests.kit.callers.tokens import bearer, secret, write_tokens
from tests.kit.models.repository import WriteModel, write_version
from tests.kit.server.kan_serve import KanServe, Start, run_kan_serve, starter
from tests.kit.waiting import until_elsewhere, wait_for

_LIST_MODELS = "/kan_api.v1.PredictionService/ListModels"
_TOKENS = {
    "all": 'methods = ["*"]',
    "plain": "",
    "affine": 'models = ["affine"]',
    "loads": 'models = ["affine"]\nmethods = ["*"]',
    "lists": 'methods = ["ListModels"]',
    "old": "expires = 2020-01-01",
    "few": "rows_per_second = 0.001",
}


@pytest.fixture(scope="module")
def server(frontend: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server of two models, with all kinds of tokens; it lets callers load."""
    folder = tmp_path_factory.mktemp("access")
    for kind in ("affine", "classifier"):
        write_version(folder / "models", kind)
    tokens = write_tokens(folder / "tokens.toml", **_TOKENS)
    with starter(folder / "models", folder, "--frontend", frontend) as start:
        yield start("--tokens", str(tokens), "--allow-load")


@pytest.fixture(scope="module")
def paths(server: KanServe) -> list[str]:
    """Every method that the server offers, from its own descriptors: a new one cannot be forgotten."""
    found = offered_methods(server.grpc, bearer("all"))
    assert {each.split("/")[1] for each in found} >= {
        "kan_api.v1.PredictionService",
        "inference.GRPCInferenceService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    return found


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        [("authorization", "Bearer wrong")],
        [("authorization", "Basic " + secret("all"))],
        [("authorization", secret("all"))],
        [("x-token", "Bearer " + secret("all"))],
        bearer("old"),
    ],
    ids=["missing", "wrong", "basic", "bare", "elsewhere", "expired"],
)
def test_no_method_answers_without_a_valid_token(server: KanServe, paths: list[str], metadata: Any) -> None:
    """Each method of each protocol, reflection and health among them, refuses missing, wrong and expired tokens."""
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        assert {path: code_of(channel, path, metadata) for path in paths} == dict.fromkeys(paths, "UNAUTHENTICATED")


def test_a_foreign_token_may_call_its_methods_alone(server: KanServe, paths: list[str]) -> None:
    """A token for one method is forbidden on each other one."""
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        codes = {path: code_of(channel, path, bearer("lists")) for path in paths}
        assert codes.pop(_LIST_MODELS) == "INVALID_ARGUMENT"
        assert set(codes.values()) == {"PERMISSION_DENIED"}


def test_a_valid_token_passes_everywhere(server: KanServe, paths: list[str]) -> None:
    """A token for everything is neither unknown nor forbidden on any method."""
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        codes = {code_of(channel, path, bearer("all")) for path in paths}
        assert not codes & {"UNAUTHENTICATED", "PERMISSION_DENIED"}


def test_a_refusal_says_what_to_do(server: KanServe) -> None:
    """The message names what to send or whom to ask, and quotes no token. Trailing metadata have the request id."""

    async def check() -> None:
        async with server.channel() as channel:
            code, text = await failure_of(ask(channel, "ListModels"))
            assert code == "UNAUTHENTICATED"
            assert "authorization: Bearer TOKEN" in text
            code, text = await failure_of(predict(channel, "affine", token="lists"))
            assert (code, secret("lists") in text) == ("PERMISSION_DENIED", False)
            assert "'lists' may not call /kan_api.v1.PredictionService/Predict" in text
            method: Any = channel.unary_unary(_LIST_MODELS)
            for metadata, of_id in (((), 16), ((("x-request-id", "order 66"),), 8)):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await method(b"", timeout=60, metadata=metadata)
                given = dict(caught.value.trailing_metadata() or ())["x-request-id"]
                assert len(given) == of_id, given

    asyncio.run(check())


def test_models_of_others_are_forbidden_and_unseen(server: KanServe) -> None:
    """A token for one model may use it by each method, may use no other by any, and sees no other in any list."""
    rows = np.ones((1, 4), np.float32)

    async def check() -> None:
        async with server.channel() as channel:
            given: dict[str, Any] = {"token": "affine"}
            assert (await predict(channel, "affine", **given)).model == "affine"
            assert (await infer(channel, "affine", rows, **given)).model_name == "affine"
            matrix = pb.Matrix(rows=1, columns=4, values=[1] * 4)
            foreign = [
                predict(channel, "classifier", **given),
                predict(channel, "absent", **given),
                ask(channel, "Explain", model="classifier", features=matrix, **given),
                ask(channel, "GetModel", model="classifier", **given),
                infer(channel, "classifier", rows, **given),
                *(
                    ask_inference(channel, name, name="classifier", **given)
                    for name in ("ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics")
                ),
            ]
            for call in foreign:
                code, text = await failure_of(call)
                assert code == "PERMISSION_DENIED", text
                assert "it may use affine" in text
            listed = await ask(channel, "ListModels", **given)
            assert {each.name for each in listed.models} == {"affine"}
            index = await ask_inference(channel, "RepositoryIndex", **given)
            assert {each.name for each in index.models} == {"affine"}
            statistics = await ask_inference(channel, "ModelStatistics", **given)
            assert {each.name for each in statistics.model_stats} == {"affine"}
            everything = await ask(channel, "ListModels", token="plain")
            assert {each.name for each in everything.models} == {"affine", "classifier"}
            code, text = await failure_of(ask(channel, "GetModel", model="affine", version=9, **given))
            assert (code, "classifier" in text) == ("NOT_FOUND", False)
            check_health: Any = channel.unary_unary(
                "/grpc.health.v1.Health/Check", response_deserializer=health_pb2.HealthCheckResponse.FromString
            )

            async def health(name: str) -> Any:
                request = health_pb2.HealthCheckRequest(service=name).SerializeToString()
                return await check_health(request, timeout=60, metadata=bearer("affine"))

            assert (await health("affine")).status == (await health("")).status == 1
            assert (await failure_of(health("classifier")))[0] == "PERMISSION_DENIED"

    asyncio.run(check())


def test_a_repository_that_cannot_be_read_tells_no_names(
    start: Start, write_model: WriteModel, models: Path, tmp_path: Path
) -> None:
    """A token for some models learns that the repository cannot be read, and not where it is; the log says it."""
    write_model("affine")
    tokens = write_tokens(
        tmp_path / "tokens.toml", some='models = ["affine"]\nmethods = ["*"]', every='methods = ["*"]'
    )
    server = start("--tokens", str(tokens), "--allow-load")
    os.rename(models, tmp_path / "away")

    async def check() -> None:
        async with server.channel() as channel:
            for token in ("some", "every"):
                for call in (
                    ask(channel, "GetModel", model="affine", version=99, token=token),
                    ask_inference(channel, "RepositoryModelLoad", model_name="affine", token=token),
                ):
                    code, text = await failure_of(call)
                    assert (code, "cannot be read" in text) == ("UNAVAILABLE", True)
                    assert (str(models) in text) == (token == "every")

    asyncio.run(check())
    assert "GetModel failed (x-request-id" in (log := server.stop()[1])
    assert str(models) in log


def test_loading_needs_a_token_that_names_it(server: KanServe) -> None:
    """With --allow-load a token without methods may not load or unload; one that names them may, its models alone."""

    async def check() -> None:
        async with server.channel() as channel:
            for name in ("RepositoryModelLoad", "RepositoryModelUnload"):
                code, _ = await failure_of(ask_inference(channel, name, model_name="classifier", token="plain"))
                assert code == "PERMISSION_DENIED"
                for model in ("classifier", "absent"):
                    code, text = await failure_of(ask_inference(channel, name, model_name=model, token="loads"))
                    assert (code, "it may use affine" in text) == ("PERMISSION_DENIED", True)
            await predict(channel, "classifier", token="plain")
            await ask_inference(channel, "RepositoryModelUnload", model_name="affine", token="loads")
            assert (await failure_of(predict(channel, "affine", token="loads")))[0] == "NOT_FOUND"
            await ask_inference(channel, "RepositoryModelLoad", model_name="affine", token="loads")
            await predict(channel, "affine", token="loads")
            await ask_inference(channel, "RepositoryModelUnload", model_name="classifier", token="all")
            assert (await failure_of(predict(channel, "classifier", token="all")))[0] == "NOT_FOUND"
            await ask_inference(channel, "RepositoryModelLoad", model_name="classifier", token="all")
            await predict(channel, "classifier", token="all")

    asyncio.run(check())


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda each: each.name)
def test_each_request_of_a_stream_is_checked(server: KanServe, protocol: Protocol) -> None:
    """On one stream a foreign model is forbidden, and the requests beside it are answered."""
    rows = np.ones((1, 4), np.float32)

    async def check() -> None:
        async with server.channel() as channel:
            stream: Any = channel.stream_stream(protocol.stream_path)
            requests = [protocol.request(name, rows, key=name) for name in ("affine", "classifier")]
            answers = [
                protocol.stream_answer(each)
                async for each in stream(iter(requests), timeout=60, metadata=bearer("affine"))
            ]
            assert {key: code for key, code, *_ in answers} == {"affine": "OK", "classifier": "PERMISSION_DENIED"}

    asyncio.run(check())


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda each: each.name)
def test_a_quota_is_rows_a_second(server: KanServe, protocol: Protocol) -> None:
    """Rows beyond the quota are RESOURCE_EXHAUSTED, and the trailer says when they may come; others are not touched."""
    rows = np.ones((3, 4), np.float32)

    async def check() -> None:
        async with server.channel() as channel:
            method: Any = channel.unary_unary(protocol.path)

            async def call(token: str, times: int = 1) -> None:
                for _ in range(times):
                    await method(protocol.request("affine", rows), timeout=60, metadata=bearer(token))

            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call("few", times=2)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "may send 0.001 rows a second" in (caught.value.details() or "")
            pushback = dict(caught.value.trailing_metadata() or ())["grpc-retry-pushback-ms"]
            assert int(pushback) > 1_000_000
            await call("plain")

    before = server.sample("kan_rejected_total", reason="quota")
    asyncio.run(check())
    assert server.sample("kan_rejected_total", reason="quota") == before + 1


def test_refusals_are_counted(server: KanServe) -> None:
    """/metrics tells refusals for want of a token and of rights apart."""
    before = {each: server.sample("kan_rejected_total", reason=each) for each in ("unauthenticated", "forbidden")}

    async def check() -> None:
        async with server.channel() as channel:
            await failure_of(ask(channel, "ListModels"))
            await failure_of(predict(channel, "affine", token="lists"))
            await failure_of(predict(channel, "classifier", token="affine"))

    asyncio.run(check())
    assert server.sample("kan_rejected_total", reason="unauthenticated") == before["unauthenticated"] + 1
    assert server.sample("kan_rejected_total", reason="forbidden") == before["forbidden"] + 2


def test_a_token_that_is_no_ascii_gets_into_no_log(start: Start, write_model: WriteModel, tmp_path: Path) -> None:
    """A token with a byte too many is refused, whatever gRPC makes of the byte, and no log holds any of it."""
    write_model("affine")
    server = start("--tokens", str(write_tokens(tmp_path / "tokens.toml", a="")))
    for count, more in enumerate(("\xa0", "\xff", "\xc2\xa0"), 1):
        with http2.connect(server.grpc) as connection:
            call = http2.call(_LIST_MODELS, authorization=f"Bearer {secret('a')}{more}")
            connection.sendall(http2.hello() + call + http2.frame(http2.DATA, http2.END_STREAM, 1, http2.message(b"")))
            wait_for(partial(_is_refused, server, count))
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        assert code_of(channel, _LIST_MODELS, bearer("a")) == "INVALID_ARGUMENT"
    code, log = server.stop()
    assert (code, secret("a") in log) == (0, False)


def _is_refused(server: KanServe, count: int) -> bool:
    """Whether so many calls were refused for want of a token; an answer fails the test."""
    assert server.sample("kan_requests_total", code="OK") == 0
    return server.sample("kan_rejected_total", reason="unauthenticated") == count


@contextmanager
def _watching(server: KanServe) -> Iterator[grpc.Channel]:
    """A connection on which a silent watch of health goes on, whatever other calls do meanwhile."""
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        method: Any = channel.unary_stream("/grpc.health.v1.Health/Watch")
        watch = method(b"", metadata=bearer("all"))
        next(watch)
        yield channel
        assert code_of(channel, _LIST_MODELS, bearer("all")) == "INVALID_ARGUMENT"
        assert watch.is_active()
        watch.cancel()


@pytest.mark.parametrize(
    "metadata",
    [
        [("authorization", "Bearer " + "x" * 62_500)],
        [*bearer("all"), ("x-note", "x" * 62_500)],
        [*bearer("all"), *((f"x-note-{count}", "x" * 90) for count in range(1000))],
    ],
    ids=["token", "value", "values"],
)
def test_oversized_metadata_ends_the_call_alone(server: KanServe, frontend: str, metadata: Any) -> None:
    """A call with too much metadata is refused with a valid token too; others on its connection go on. Envoy resets
    such a call without a status, and gRPC takes that for INTERNAL.
    """
    with _watching(server) as channel:
        wanted = "RESOURCE_EXHAUSTED" if frontend == "grpcio" else "INTERNAL"
        assert code_of(channel, _LIST_MODELS, metadata) == wanted


def test_a_megabyte_of_metadata_ends_its_connection_at_most(server: KanServe, frontend: str) -> None:
    """A call with one value of a megabyte is refused; Envoy closes its connection. Other connections go on."""
    with _watching(server), grpc.insecure_channel(server.grpc, server.options) as channel:
        code = code_of(channel, _LIST_MODELS, [*bearer("all"), ("x-note", "x" * 1_000_000)])
        assert code == ("RESOURCE_EXHAUSTED" if frontend == "grpcio" else "UNAVAILABLE")


def test_a_long_token_is_an_unknown_one(server: KanServe) -> None:
    """A token within the bound of metadata is looked up like any other."""
    with _watching(server) as channel:
        assert code_of(channel, _LIST_MODELS, [("authorization", "Bearer " + "x" * 5_000)]) == "UNAUTHENTICATED"


def test_tokens_rotate_under_load(start: Start, write_model: WriteModel, tmp_path: Path) -> None:
    """While tokens come and go and the file is broken for a while, no call with a token that stays fails."""
    write_model("affine")
    file = write_tokens(tmp_path / "tokens.toml", stays="", goes="")
    server = start("--tokens", str(file))
    over = asyncio.Event()
    answered = 0

    async def load(channel: grpc.aio.Channel) -> None:
        nonlocal answered
        while not over.is_set():
            await predict(channel, "affine", token="stays")
            answered += 1

    async def check() -> None:
        async with server.channel() as channel:
            callers = [asyncio.create_task(load(channel)) for _ in range(4)]
            await predict(channel, "affine", token="goes")
            write_tokens(file, stays="", comes="")
            await _until_code(channel, "comes", "OK")
            await _until_code(channel, "goes", "UNAUTHENTICATED")
            file.write_text(file.read_text()[:100])  # half of it
            await until_elsewhere(lambda: server.sample("kan_access_file_valid", file="tokens") == 0)
            await predict(channel, "affine", token="comes")
            os.unlink(file)
            await predict(channel, "affine", token="comes")
            write_tokens(file, stays='models = ["affine"]')
            await _until_code(channel, "comes", "UNAUTHENTICATED")
            await until_elsewhere(lambda: server.sample("kan_access_file_valid", file="tokens") == 1)
            over.set()
            await asyncio.gather(*callers)

    asyncio.run(check())
    assert answered > 8  # each caller about two; on a busy machine no more
    assert server.sample("kan_requests_total", code="OK") >= answered
    code, log = server.stop()
    assert code == 0
    assert "the last valid content stays in use" in log
    assert "secret-" not in log


async def _until_code(channel: grpc.aio.Channel, token: str, wanted: str) -> None:
    """Call until the calls with this token end so."""
    async with asyncio.timeout(60):
        while True:
            try:
                await predict(channel, "affine", token=token)
                code = "OK"
            except grpc.aio.AioRpcError as error:
                code = error.code().name
            if code == wanted:
                return


def test_a_stream_loses_the_rights_that_its_token_loses(start: Start, write_model: WriteModel, tmp_path: Path) -> None:
    """A stream that stays open answers until its token is taken away, and then refuses each request."""
    write_model("affine")
    file = write_tokens(tmp_path / "tokens.toml", goes="", stays="")
    server = start("--tokens", str(file))
    (protocol, *_) = PROTOCOLS
    request = protocol.request("affine", np.ones((1, 4), np.float32), key="one")

    async def check() -> None:
        async with server.channel() as channel:
            codes: asyncio.Queue[str] = asyncio.Queue()
            over = False

            async def requests() -> AsyncIterator[bytes]:
                while not over:
                    yield request
                    codes.put_nowait(protocol.stream_answer(await answers.get())[1])

            answers: asyncio.Queue[bytes] = asyncio.Queue()
            stream: Any = channel.stream_stream(protocol.stream_path)
            call = stream(requests(), timeout=60, metadata=bearer("goes"))

            async def read() -> None:
                async for answer in call:
                    answers.put_nowait(answer)

            reading = asyncio.create_task(read())
            assert await codes.get() == "OK"
            write_tokens(file, stays="")
            while await codes.get() != "UNAUTHENTICATED":
                pass
            over = True
            await reading

    asyncio.run(check())


def test_a_watch_ends_with_the_rights_of_its_token(start: Start, write_model: WriteModel, tmp_path: Path) -> None:
    """A silent watch of health ends once its token is taken away, loses the model or expires; others stay open."""
    write_model("affine")
    file = write_tokens(tmp_path / "tokens.toml", goes="", narrows="", expires="", stays="")
    server = start("--tokens", str(file))

    async def check() -> None:
        async with server.channel() as channel:
            watch: Any = channel.unary_stream(
                "/grpc.health.v1.Health/Watch", response_deserializer=health_pb2.HealthCheckResponse.FromString
            )
            request = health_pb2.HealthCheckRequest(service="affine").SerializeToString()
            names = ("goes", "narrows", "expires", "stays")
            watches = {name: watch(request, timeout=60, metadata=bearer(name)) for name in names}
            for each in watches.values():
                assert (await each.read()).status == 1
            soon = datetime.now(UTC) + timedelta(seconds=4)
            write_tokens(file, narrows='models = ["other"]', expires=f"expires = {soon.isoformat()}", stays="")
            assert await failure_of(watches["goes"].read()) == ("UNAUTHENTICATED", ANY)
            assert await failure_of(watches["narrows"].read()) == ("PERMISSION_DENIED", ANY)
            code, text = await failure_of(watches["expires"].read())
            assert (code, "has expired" in text) == ("UNAUTHENTICATED", True)
            assert not watches["stays"].done()
            watches["stays"].cancel()

    asyncio.run(check())


@pytest.mark.parametrize("text", [None, "", "[tokens.a", "[other]"])
def test_a_start_needs_a_valid_token_file(tmp_path: Path, frontend: str, text: str | None) -> None:
    """An absent or invalid token file is one line and exit code 1, never a server without tokens."""
    file = tmp_path / "tokens.toml"
    if text is not None:
        file.write_text(text)
    done = run_kan_serve(tmp_path, "--frontend", frontend, "--tokens", str(file))
    assert done.returncode == 1
    assert "token file" in done.stderr.splitlines()[-1]
