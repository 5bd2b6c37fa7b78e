"""The worker processes of a kan-serve, from outside."""

from contextlib import suppress
from typing import Any

import grpc
import psutil

from open_inference import grpc_predict_v2_pb2
from tests.kit.callers.protocols import KanApi, Rows
from tests.kit.server.kan_serve import KanServe
from tests.kit.waiting import wait_for


def ask(server: KanServe, model: str, rows: Rows, version: int = 0) -> int:
    """The version that answers one request on a new connection: one of the workers gets it by chance."""
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        predict: Any = channel.unary_unary(KanApi.path)
        return KanApi.answer(predict(KanApi.request(model, rows, version=version), timeout=60))[1]


def workers(server: KanServe) -> list[psutil.Process]:
    """The processes of the workers that serve, oldest first: with Envoy those of Envoy."""
    workers = psutil.Process(server.process.pid).children()
    return sorted((_serving(each) for each in workers), key=psutil.Process.create_time)


def _serving(worker: psutil.Process) -> psutil.Process:
    """A worker's process that serves. Its first process is shown before that one exists."""
    with suppress(psutil.NoSuchProcess):
        return (worker.children() or [worker])[0]
    return worker


def taking_calls(server: KanServe) -> int:
    """How many workers take calls."""
    return int(server.sample("kan_workers"))


def wait_for_workers(server: KanServe, count: int, restarts: int = 0) -> None:
    """Wait until so many workers take calls, after so many restarts."""
    wait_for(
        lambda: server.sample("kan_worker_restarts_total") >= restarts and taking_calls(server) == count,
        f"{count} workers after {restarts} restarts",
    )


def statistics(server: KanServe, model: str) -> Any:
    """The sums of rows and runs of the worker that a new connection meets."""
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        ask_statistics: Any = channel.unary_unary("/inference.GRPCInferenceService/ModelStatistics")
        request = grpc_predict_v2_pb2.ModelStatisticsRequest(name=model).SerializeToString()
        answer = grpc_predict_v2_pb2.ModelStatisticsResponse.FromString(ask_statistics(request, timeout=60))
        return answer.model_stats[0]


def rows_by_worker(server: KanServe, model: str) -> set[int]:
    """The rows that each worker has answered since its start, found over so many connections that none is missed."""
    return {statistics(server, model).inference_count for _ in range(40)}


def answered(server: KanServe, model: str) -> int:
    """Requests to a model that were answered."""
    return int(server.sample("kan_requests_total", model=model, code="OK"))
