"""The worker processes of a kan-serve, from outside."""

from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import Any

import grpc
import psutil

from open_inference import grpc_predict_v2_pb2
from service.process.workers.folder import LOCK
from tests.kit.callers.protocols import KanApi, Rows
from tests.kit.server.kan_serve import KanServe
from tests.kit.waiting import wait_for


def ask(server: KanServe, model: str, rows: Rows, version: int = 0) -> int:
    """The version that answers one request on a new connection: one of the workers gets it by chance."""
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        predict: Any = channel.unary_unary(KanApi.path)
        return KanApi.answer(predict(KanApi.request(model, rows, version=version), timeout=60))[1]


def starts(server: KanServe) -> list[psutil.Process]:
    """The processes that the server has started. With Envoy each of them starts one more, which serves."""
    return psutil.Process(server.process.pid).children()


def workers(server: KanServe) -> list[psutil.Process]:
    """The processes of the workers that serve, oldest first: with Envoy those of Envoy.

    A worker whose Envoy is not there yet, or has ended before it, is left out.
    """
    found: list[tuple[float, psutil.Process]] = []
    for each in starts(server):
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            found += [(one.create_time(), one) for one in _serving(each) if not has_ended(one)]
    return [process for _, process in sorted(found, key=itemgetter(0))]


def _serving(start: psutil.Process) -> list[psutil.Process]:
    """The process that serves, of one that the server has started."""
    if start.cmdline()[-1:] == ["service.process.workers.worker"]:
        return [start]
    return [each for each in start.children() if "--config-path" in each.cmdline()]


def has_ended(process: psutil.Process) -> bool:
    """Whether a process runs no more. What takes the place of its parent may leave it a zombie for some time."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def kill_worker(server: KanServe, worker: psutil.Process) -> None:
    """Kill a worker, and wait until none of its processes runs: with Envoy the one above it ends a little later."""
    family = [worker, *(each for each in worker.parents() if each in starts(server))]
    worker.kill()
    wait_for(lambda: all(map(has_ended, family)), "the end of a killed worker")


def counts_folder(server: KanServe) -> Path:
    """The folder where its workers count: it keeps a lock in it open."""
    files = (Path(each.path) for each in psutil.Process(server.process.pid).open_files())
    (folder,) = {file.parent for file in files if file.name == LOCK}
    return folder


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
