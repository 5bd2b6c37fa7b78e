"""What has little to do with TLS works over TLS too: tokens, settings, cold models, watches, cancels, traces."""

import signal
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from open_inference.grpc_predict_v2_pb2 import RepositoryModelUnloadRequest
from service.tracing.trace import new_ids
from tests.kit.callers import http2
from tests.kit.callers.cancelling import SERVING, cancel_calls, check_health
from tests.kit.callers.methods import code_of, methods_of
from tests.kit.callers.protocols import KanApi
from tests.kit.callers.tokens import bearer, write_tokens
from tests.kit.models.graphs import rounds_as_told
from tests.kit.models.repository import replace_graph, write_version
from tests.kit.server.certificates import Authority, Pair
from tests.kit.server.gate import Gate
from tests.kit.server.kan_serve import KanServe, serving
from tests.kit.server.metrics import TIMED, traces_of_exemplars
from tests.kit.server.otlp import Receiver, attributes, receiving
from tests.kit.waiting import wait_for

_BOUND, _WATCHES, _CALLS = 2, 50, 500
_ROWS = np.ones((5, 4), np.float32)
_ME = bearer("alice")
_PARENT = "00f067aa0ba902b7"
_LIST_MODELS = "/kan_api.v1.PredictionService/ListModels"
_TOKENS = {
    "alice": 'methods = ["*"]',
    "lists": 'methods = ["ListModels"]',
    "old": "expires = 2020-01-01",
    "few": "rows_per_second = 0.001",
}
_TABLE = "[models.affine]\nmax_queue_rows = {rows}\n"


@dataclass(frozen=True)
class _Secured:
    """A server with mTLS and tokens, its settings file, and what a caller needs."""

    server: KanServe
    settings: Path
    authority: Path
    caller: Pair

    def channel(self) -> grpc.Channel:
        """A connection of gRPC's client."""
        files = (self.authority, self.caller.key, self.caller.cert)
        credentials = grpc.ssl_channel_credentials(*(file.read_bytes() for file in files))
        return grpc.secure_channel(self.server.grpc, credentials, self.server.options)

    def connection(self) -> ssl.SSLSocket:
        """A connection for HTTP/2 by hand."""
        context = ssl.create_default_context(cafile=self.authority)
        context.load_cert_chain(self.caller.cert, self.caller.key)
        context.set_alpn_protocols(["h2"])
        return context.wrap_socket(http2.connect(self.server.grpc), server_hostname="localhost")


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """Receives the traces."""
    with receiving() as started:
        yield started


@pytest.fixture(scope="module")
def secured(
    frontend: str, receiver: Receiver, module_gate: Gate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[_Secured]:
    """One server of each front end for all tests: of five models two are in memory."""
    folder = tmp_path_factory.mktemp("secured")
    for name in ("affine", "watched", "cold"):
        write_version(folder / "models", "affine", name=name)
    replace_graph(write_version(folder / "models", "affine", name="told"), rounds_as_told())
    write_version(folder / "models", "slow")
    settings, authority = folder / "kan-serve.toml", Authority(folder / "certificates")
    settings.write_text(_TABLE.format(rows=4))
    pair = authority.issue("server")
    flags = ["--frontend", frontend, "--config", str(settings), "--max-loaded-models", str(_BOUND), "--allow-load"]
    flags += ["--tls-cert", str(pair.cert), "--tls-key", str(pair.key), "--tls-client-ca", str(authority.file)]
    flags += ["--tokens", str(write_tokens(folder / "tokens.toml", **_TOKENS))]
    flags += ["--trace-endpoint", receiver.address, "--trace-sample", "0"]
    with serving(folder / "models", *flags, log=folder / "log") as server:
        yield _Secured(server, settings, authority.file, authority.issue("caller"))


def test_tokens_on_every_method(secured: _Secured) -> None:
    """With a valid certificate too each method refuses a missing, a wrong and an expired token, and one of others."""
    with secured.channel() as channel:
        paths = methods_of(channel, _ME)
        assert _LIST_MODELS in paths
        for metadata in (None, bearer("nobody"), bearer("old")):
            codes = {path: code_of(channel, path, metadata) for path in paths}
            assert codes == dict.fromkeys(paths, "UNAUTHENTICATED")
        codes = {path: code_of(channel, path, bearer("lists")) for path in paths}
        assert codes == {**dict.fromkeys(paths, "PERMISSION_DENIED"), _LIST_MODELS: "INVALID_ARGUMENT"}
        codes = {path: code_of(channel, path, _ME) for path in paths}
        assert not set(codes.values()) & {"UNAUTHENTICATED", "PERMISSION_DENIED"}


def test_a_quota(secured: _Secured) -> None:
    """Rows beyond it are RESOURCE_EXHAUSTED; the trailer says when they may come."""
    with secured.channel() as channel:
        predict: Any = channel.unary_unary(KanApi.path)
        request = KanApi.request("affine", _ROWS[:1])
        assert predict(request, timeout=60, metadata=bearer("few"))
        with pytest.raises(grpc.RpcError, match=r"may send 0\.001 rows a second") as caught:
            predict(request, timeout=60, metadata=bearer("few"))
        refusal: Any = caught.value
        assert refusal.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert int(dict(refusal.trailing_metadata())["grpc-retry-pushback-ms"]) > 900_000


def test_a_models_table_and_its_reload(secured: _Secured) -> None:
    """A request of more rows than the model's table allows is refused, and is answered once the table allows them."""
    with secured.channel() as channel:
        predict: Any = channel.unary_unary(KanApi.path)
        request = KanApi.request("affine", _ROWS)
        with pytest.raises(grpc.RpcError, match="wanted 1 to 4") as caught:
            predict(request, timeout=60, metadata=_ME)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        secured.settings.write_text(_TABLE.format(rows=5))
        secured.server.signal(signal.SIGHUP)
        wait_for(lambda: secured.server.sample("kan_settings_reloads_total", result="taken") >= 1, "the reload")
        assert KanApi.answer(predict(request, timeout=60, metadata=_ME))[1] == 1


def test_a_cold_model_answers_its_first_call(secured: _Secured) -> None:
    """The call waits until the model is loaded; afterwards no more models than allowed stay in memory."""
    assert secured.server.sample("kan_model_info", model="cold") == 0
    with secured.channel() as channel:
        predict: Any = channel.unary_unary(KanApi.path)
        for name in ("affine", "slow", "cold"):
            assert KanApi.answer(predict(KanApi.request(name, _ROWS[:1]), timeout=60, metadata=_ME))[1] == 1
    assert secured.server.sample("kan_model_info", model="cold") == 1
    wait_for(lambda: secured.server.sample("kan_model_info") <= _BOUND, "models to be let go")


def test_a_slow_run_moves_its_model_to_a_thread(secured: _Secured) -> None:
    """After one run that took long, calls of another model are answered while the next long one runs."""

    def is_inline() -> bool:
        return secured.server.sample("kan_model_inline", model="told") == 1

    def told(rounds: int) -> bytes:
        return KanApi.request("told", np.full((1, 4), rounds, np.float32))

    with secured.channel() as channel:
        predict: Any = channel.unary_unary(KanApi.path)

        def turns_fast() -> bool:  # on a busy machine single runs take long, so that more of them are needed
            predict(told(0), timeout=60, metadata=_ME)
            return is_inline()

        wait_for(turns_fast, "the model to run on the event loop")
        predict(told(50_000), timeout=60, metadata=_ME)
        wait_for(lambda: not is_inline(), "the model to run in a thread")
        before = secured.server.sample("kan_request_rows_count", model="told")
        long = predict.future(told(1_000_000), timeout=60, metadata=_ME)
        wait_for(
            lambda: secured.server.sample("kan_request_rows_count", model="told") > before, "the long run to begin"
        )
        for _ in range(5):
            assert predict(KanApi.request("affine", _ROWS[:1]), timeout=60, metadata=_ME)
        assert not long.done()
        assert long.result()


def test_idle_watches_outlive_cancelled_calls(secured: _Secured, module_gate: Gate) -> None:
    """50 watches of one connection, on which 500 waiting calls are cancelled, hear of the model's end afterwards."""
    with secured.channel() as channel:
        watch: Any = channel.unary_stream("/grpc.health.v1.Health/Watch")
        asked = HealthCheckRequest(service="watched").SerializeToString()
        watches = [watch(asked, timeout=90, metadata=_ME) for _ in range(_WATCHES)]
        assert {_status(each) for each in watches} == {HealthCheckResponse.SERVING}
        predict: Any = channel.unary_unary(KanApi.path)
        request = KanApi.request("slow", _ROWS[:1])
        assert predict(request, timeout=60, metadata=_ME)  # it is in memory: its warm-up would wait for the gate
        before = secured.server.sample("kan_request_rows_count", model="slow")
        with module_gate.closed():
            calls = [predict.future(request, timeout=90, metadata=_ME) for _ in range(_CALLS)]
            wait_for(
                lambda: secured.server.sample("kan_request_rows_count", model="slow") - before >= _CALLS,
                "all calls to arrive",
            )
            assert all(call.cancel() for call in calls)
        unload: Any = channel.unary_unary("/inference.GRPCInferenceService/RepositoryModelUnload")
        unload(RepositoryModelUnloadRequest(model_name="watched").SerializeToString(), timeout=60, metadata=_ME)
        assert HealthCheckResponse.SERVING not in {_status(each) for each in watches}
        for each in watches:
            each.cancel()


def _status(watch: Any) -> int:
    return HealthCheckResponse.FromString(next(watch)).status


@pytest.mark.parametrize("together", [1, 500])
def test_a_connection_outlives_calls_that_are_reset(secured: _Secured, together: int) -> None:
    """1,000 calls are begun and reset, one by one or 500 at a time; then the same connection still answers."""
    with secured.connection() as connection:
        stream = cancel_calls(connection, KanApi.path, 2 * _CALLS, together, **dict(_ME))
        assert check_health(connection, stream, **dict(_ME)) == SERVING


def test_a_span_continues_the_callers_trace(secured: _Secured, receiver: Receiver) -> None:
    """The receiver gets the span of a sampled call, and its parts; of a call that is not sampled it gets none.

    The histograms name the sampled trace alone.
    """
    sampled, unsampled = new_ids().trace_id, new_ids().trace_id
    with secured.channel() as channel:
        predict: Any = channel.unary_unary(KanApi.path)
        for trace_id, flags in ((unsampled, "00"), (sampled, "01")):
            parent = ("traceparent", f"00-{trace_id}-{_PARENT}-{flags}")
            assert predict(KanApi.request("affine", _ROWS[:1]), timeout=60, metadata=(*_ME, parent))
    (span,) = receiver.wait_for(KanApi.path.removeprefix("/"), sampled)
    assert span.parent_span_id.hex() == _PARENT
    assert attributes(span.attributes)["rpc.response.status_code"] == "OK"
    for part in ("decode", "queue", "compute", "encode"):
        assert [one.parent_span_id for one in receiver.named(part, sampled)] == [span.span_id]
    assert not receiver.named(KanApi.path.removeprefix("/"), unsampled)
    exemplars = traces_of_exemplars(secured.server.metrics)
    assert {name for name, trace in exemplars if trace == sampled} == TIMED
    assert unsampled not in {trace for _, trace in exemplars}
