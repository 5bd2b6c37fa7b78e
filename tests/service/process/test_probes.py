import asyncio
import re
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from kan_api.v1 import prediction_pb2 as pb
from service.errors import StartupError
from service.process.http_ports import HttpPorts
from service.process.probes import Probes
from service.settings import FLAGS, Settings
from tests.kit.callers.calls import ask
from tests.kit.callers.tokens import bearer, write_tokens
from tests.kit.models.attributions import add_attribution
from tests.kit.models.repository import WriteModel
from tests.kit.models.training_rows import trained_on
from tests.kit.server.kan_serve import Serving, get, stop_here

# Name, kind and labels of every metric.
_METRICS = {
    "kan_requests": ("counter", {"model", "version", "protocol", "code"}),
    "kan_request_duration_seconds": ("histogram", {"model", "version", "protocol"}),
    "kan_queue_duration_seconds": ("histogram", {"model", "version"}),
    "kan_compute_duration_seconds": ("histogram", {"model", "version"}),
    "kan_request_rows": ("histogram", {"model", "version"}),
    "kan_batch_rows": ("histogram", {"model", "version"}),
    "kan_explained_rows": ("counter", {"model", "version"}),
    "kan_explain_duration_seconds": ("histogram", {"model", "version"}),
    "kan_queue_rows": ("gauge", {"model", "version"}),
    "kan_queue_limit_rows": ("gauge", {"model", "version"}),
    "kan_batch_limit_rows": ("gauge", {"model", "version"}),
    "kan_rejected": ("counter", {"model", "version", "reason"}),
    "kan_model_ready": ("gauge", {"model", "version"}),
    "kan_model_inline": ("gauge", {"model", "version"}),
    "kan_model_info": ("gauge", {"model", "version", "provider"}),
    "kan_model_load_duration_seconds": ("histogram", {"model"}),
    "kan_model_refused": ("counter", {"model", "version", "reason"}),
    "kan_model_swaps": ("counter", {"model"}),
    "kan_model_column_rows": ("counter", {"model", "version", "column", "cell"}),
    "kan_model_column_expected_share": ("gauge", {"model", "version", "column", "cell"}),
    "kan_model_column_psi": ("gauge", {"model", "version", "column"}),
    "kan_model_answer_rows": ("counter", {"model", "version", "output", "cell"}),
    "kan_model_answer_expected_share": ("gauge", {"model", "version", "output", "cell"}),
    "kan_model_answer_psi": ("gauge", {"model", "version", "output"}),
    "kan_traces": ("counter", {"result"}),
    "kan_repository_seen_timestamp_seconds": ("gauge", set()),
    "kan_settings_reloads": ("counter", {"result"}),
    "kan_settings_last_reload_successful": ("gauge", set()),
    "kan_access_file_valid": ("gauge", {"file"}),
    "kan_access_log_lost": ("counter", set()),
    "kan_build_info": ("gauge", {"version", "onnxruntime"}),
}
# Of a server with several workers.
_WORKER_METRICS = {"kan_workers", "kan_workers_configured", "kan_worker_restarts_total"}
# Of a server with TLS.
_TLS_METRICS = {"kan_certificate_expires_timestamp_seconds"}


def test_probes_follow_the_server(serving: Serving, write_model: WriteModel) -> None:
    """Live and ready while it serves; live and not ready while it drains; other paths are not found."""
    write_model("affine")

    async def check() -> None:
        async with serving() as (server, _):
            assert await asyncio.to_thread(get, f"127.0.0.1:{server.http.port}", "/livez") == (200, "ok\n")
            assert await asyncio.to_thread(get, f"127.0.0.1:{server.http.port}", "/readyz") == (200, "ok\n")
            assert (await asyncio.to_thread(get, f"127.0.0.1:{server.http.port}", "/"))[0] == 404
            assert (await asyncio.to_thread(get, f"127.0.0.1:{server.http.port}", "/metrics/x"))[0] == 404
            await server.registry.drain()
            assert await asyncio.to_thread(get, f"127.0.0.1:{server.http.port}", "/livez") == (200, "ok\n")
            assert await asyncio.to_thread(get, f"127.0.0.1:{server.http.port}", "/readyz") == (503, "draining\n")

    asyncio.run(check())


def test_metrics_on_a_port_of_their_own_leave_only_health(serving: Serving) -> None:
    """With --metrics-port the HTTP port tells health without a reason, and nothing else; the other port has all."""

    async def check() -> None:
        async with serving(metrics_port=0) as (server, _):

            async def ask_port(port: int, path: str) -> tuple[int, str]:
                return await asyncio.to_thread(get, f"127.0.0.1:{port}", path)

            open_port, own_port = server.http.port, server.http.metrics_port
            assert await ask_port(open_port, "/livez") == (200, "ok\n")
            assert await ask_port(open_port, "/readyz") == (503, "unavailable\n")
            assert await ask_port(open_port, "/metrics") == (404, "not found; there is /livez and /readyz\n")
            assert await ask_port(own_port, "/readyz") == (503, "no model is ready\n")
            assert "kan_build_info" in (await ask_port(own_port, "/metrics"))[1]

    asyncio.run(check())


def test_an_empty_repository_is_live_and_not_ready(serving: Serving) -> None:
    """Without a model the server lives and says why it is not ready."""

    async def check() -> None:
        async with serving() as (server, _):
            assert (await asyncio.to_thread(get, f"127.0.0.1:{server.http.port}", "/livez"))[0] == 200
            assert await asyncio.to_thread(get, f"127.0.0.1:{server.http.port}", "/readyz") == (
                503,
                "no model is ready\n",
            )

    asyncio.run(check())


def test_metrics_shows_everything(serving: Serving, write_model: WriteModel, tmp_path: Path) -> None:
    """After two requests and one refused version /metrics parses and holds every metric, of its kind and labels."""
    training = np.random.default_rng(0).normal(size=(200, 4))
    add_attribution(write_model("affine", version=1, change=trained_on(training, training[:, :1])))
    (write_model("affine", version=2) / "model.onnx").write_bytes(b"broken")

    tokens = write_tokens(tmp_path / "tokens.toml", any="")

    async def check() -> str:
        async with serving(tokens=str(tokens), access_log=str(tmp_path / "access.log")) as (server, channel):
            predict: Any = channel.unary_unary("/kan_api.v1.PredictionService/Predict")
            for count in (3, 1000):
                matrix = pb.Matrix(rows=count, columns=4, raw=np.zeros((count, 4), np.float32).tobytes())
                await predict(
                    pb.PredictRequest(model="affine", features=matrix).SerializeToString(),
                    timeout=60,
                    metadata=bearer("any"),
                )
            await ask(channel, "Explain", token="any", model="affine", features=matrix)
            status, text = await asyncio.to_thread(get, f"127.0.0.1:{server.http.metrics_port}", "/metrics")
            assert status == 200
            return text

    families = {family.name: family for family in text_string_to_metric_families(asyncio.run(check()))}
    for name, (kind, labels) in _METRICS.items():
        assert families[name].type == kind, name
        assert families[name].samples, name
        for sample in families[name].samples:
            assert set(sample.labels) - {"le"} == labels, name
    rows = {sample.name: sample.value for sample in families["kan_batch_rows"].samples}
    assert rows["kan_batch_rows_sum"] == 1003


def test_the_operations_manual_has_every_metric_and_setting() -> None:
    """docs/operations.md has one table row a metric and one a setting, and none that does not exist."""
    manual = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    counters = {name for name, (kind, _) in _METRICS.items() if kind == "counter"}
    metrics = {f"{name}_total" if name in counters else name for name in _METRICS}
    assert sorted(re.findall(r"^\| `(kan_\w+)` ", manual, re.MULTILINE)) == sorted(
        metrics | _WORKER_METRICS | _TLS_METRICS
    )
    flags = {f"--{name.replace('_', '-')}" for name in FLAGS}
    assert sorted(re.findall(r"^\| `(--[\w-]+)` ", manual, re.MULTILINE)) == sorted(flags)


def test_a_loop_that_hangs_is_not_live() -> None:
    """/livez turns to 503 when the event loop has not turned for long, and answers all the same."""

    async def check() -> None:
        now = 0.0
        probes = Probes(
            host="127.0.0.1",
            port=0,
            port_flag="--http-port",
            registry=CollectorRegistry(),
            unready_reason=lambda: "",
            clock=lambda: now,
        )
        await asyncio.sleep(0)  # the first beat
        assert (await asyncio.to_thread(get, f"127.0.0.1:{probes.port}", "/livez"))[0] == 200
        now = 60.0
        status, reason = await asyncio.to_thread(get, f"127.0.0.1:{probes.port}", "/livez")
        assert status == 503
        assert "event loop has not turned for 60.0 s" in reason
        await probes.close()

    asyncio.run(check())


@pytest.mark.parametrize(
    ("before", "flag", "given"), [(0, "--http-port$", {}), (1, "--metrics-port ", {"tokens": "tokens.toml"})]
)
def test_a_taken_port_is_an_error_at_start(before: int, flag: str, given: dict[str, str]) -> None:
    """The error has the address, the reason, and the flag of the port: with tokens metrics are on the next one."""

    async def check(port: int) -> None:
        settings = Settings.model_validate({"grpc_port": 0, "http_port": port - before, **given})
        with pytest.raises(StartupError, match=f":{port}: Address already in use; wanted a free port: .* with {flag}"):
            HttpPorts(settings, CollectorRegistry(), lambda: "")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        asyncio.run(check(taken.getsockname()[1]))


def test_a_host_that_is_elsewhere_is_an_error_at_start() -> None:
    """The error has the address, the reason, and the flag of the host."""

    async def check() -> None:
        with pytest.raises(StartupError, match=r"on 192\.0\.2\.1:0: .*; wanted an address of this machine in --host"):
            HttpPorts(Settings(host="192.0.2.1", http_port=0), CollectorRegistry(), lambda: "")

    asyncio.run(check())


def test_a_caller_who_says_nothing_holds_up_nobody(serving: Serving) -> None:
    """An open connection without a request leaves the probes answering, and the stop quick."""

    async def check() -> None:
        async with serving() as (server, _):
            with socket.create_connection(("127.0.0.1", server.http.port)):
                assert (await asyncio.to_thread(get, f"127.0.0.1:{server.http.port}", "/livez"))[0] == 200
                async with asyncio.timeout(60):
                    await stop_here(server, grace_seconds=1)

    asyncio.run(check())
