"""Triton's load generator, perf_analyzer, against a real server: its numbers equal our counts."""

import re
import shutil
import subprocess
import sysconfig
from typing import Any

import grpc
import pytest

from open_inference import grpc_predict_v2_pb2 as pb
from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import Start

_PERF_ANALYZER = shutil.which("perf_analyzer", path=sysconfig.get_path("scripts"))
_SERVER = (
    r"Inference count: (\d+)\s+Execution count: (\d+)\s+Successful request count: (\d+)\s+"
    r"Avg request latency: (\d+) usec \(overhead \d+ usec \+ queue \d+ usec \+ "
    r"compute input 0 usec \+ compute infer (\d+) usec"
)


@pytest.mark.slow
@pytest.mark.skipif(_PERF_ANALYZER is None, reason="perf-analyzer has no wheel for this platform")
@pytest.mark.parametrize("mode", [["--sync"], ["--async"], ["--streaming"]], ids=str)
def test_perf_analyzer_runs_unchanged(kan_serve: Start, write_model: WriteModel, mode: list[str]) -> None:
    """All requests are answered in each mode, and the server's statistics tell of them, whole and as printed."""
    write_model("affine")
    server = kan_serve()
    assert _PERF_ANALYZER is not None
    # A number of requests, not windows of time: those have to be quiet, which a test machine is not.
    flags = ["-m", "affine", "-i", "grpc", "-u", server.grpc, "-b", "8", "--concurrency-range", "4", *mode]
    done = subprocess.run(
        [_PERF_ANALYZER, *flags, "--request-count", "200"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Request count: 200\n" in done.stdout
    found = re.search(_SERVER, done.stdout)
    assert found is not None, done.stdout + done.stderr
    rows, runs, requests, request_microseconds, run_microseconds = map(int, found.groups())
    # Its two looks at the statistics come while requests are under way: what it prints is exact but for those.
    assert 0 < requests < 2 * 200
    assert rows % 8 == 0
    assert 0 < runs <= rows / 8
    assert 0 < run_microseconds < request_microseconds
    with grpc.insecure_channel(server.grpc) as channel:
        ask: Any = channel.unary_unary("/inference.GRPCInferenceService/ModelStatistics")
        (seen,) = pb.ModelStatisticsResponse.FromString(ask(b"", timeout=60)).model_stats
    assert seen.inference_stats.success.count >= 200
    assert seen.inference_stats.fail.count == 0
    assert seen.inference_count == 8 * seen.inference_stats.success.count
