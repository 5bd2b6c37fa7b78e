"""The processor time of the metrics of one request, measured in one process.

Calls with metrics and calls with metrics that do nothing alternate, so they differ only by the metrics. Two servers
would not show the difference: it is 1 % of a request, less than a machine's noise. Calls come in groups as large as the
server's batches, because some metrics are counted once per batch.
"""

import asyncio
import statistics
import time

from benchmarks.common.load_job import Exchange
from benchmarks.common.served_models import PREDICT, ServedModel
from service.metrics.metrics import Metrics, ModelMetrics
from service.protocols import prediction
from service.registry.registry import Registry
from service.rpc import calls
from service.settings import Settings

_PASSES = 60
_CALLS_A_PASS = 240
_MOST_ANSWER_BYTES = 2**24


def metrics_seconds(model: ServedModel, exchange: Exchange, batch_rows: float) -> float:
    """Processor time of the metrics of one request.

    Args:
        model: The model to serve.
        exchange: A Predict request with one row.
        batch_rows: Average rows of a batch in the running server.
    """
    return asyncio.run(_metrics_seconds(model, exchange.request, max(1, round(batch_rows))))


async def _metrics_seconds(model: ServedModel, request: bytes, together: int) -> float:
    settings = Settings(models=model.repository, poll_seconds=0)
    kinds = [(metrics, Registry(settings, metrics)) for metrics in (Metrics(), _Silent())]
    methods = []
    for metrics, registry in kinds:
        await registry.load_all()
        found = calls.table(prediction.methods(registry, prediction.limits_of(settings)))[PREDICT]
        assert isinstance(found, calls.Unary)
        methods.append((found, metrics))
    times: list[list[float]] = [[], []]
    for _ in range(_PASSES):
        for (method, metrics), found_times in zip(methods, times, strict=True):
            began = time.thread_time()
            for _ in range(_CALLS_A_PASS // together):
                await asyncio.gather(
                    *(
                        calls.invoke(method, calls.RequestContext(), request, metrics, _MOST_ANSWER_BYTES)
                        for _ in range(together)
                    )
                )
            found_times.append((time.thread_time() - began) / (_CALLS_A_PASS // together * together))
    for _, registry in kinds:
        await registry.close()
    difference: float = statistics.median(loud - silent for loud, silent in zip(*times, strict=True))
    return difference


class _Silent(Metrics):
    """Metrics that count no requests."""

    def __init__(self) -> None:
        super().__init__()
        nothing = {name: _ignore for name in vars(ModelMetrics) if not name.startswith("_")}
        self._silent: ModelMetrics = type("SilentModelMetrics", (ModelMetrics,), nothing)(died=_ignore)

    def model(self, name: str, version: str) -> ModelMetrics:  # noqa: ARG002
        """Metrics that do nothing."""
        return self._silent


def _ignore(*_: object, **__: object) -> None:
    pass
