"""ModelStatistics of Triton's extension: sums of each version's requests and runs."""

from open_inference import grpc_predict_v2_pb2 as pb
from service.errors import InvalidRequest
from service.metrics.statistics import Duration, Statistics
from service.protocols.open_inference import read_version
from service.registry.model.live_model import LiveModel
from service.registry.registry import Registry
from service.rpc.calls import RequestContext, parse


async def model_statistics(registry: Registry, call: RequestContext, request: bytes) -> bytes:
    """ModelStatistics: of the versions asked for that answer and are in memory, of models that the caller may use."""
    message = parse(pb.ModelStatisticsRequest, request)
    version = read_version(message.version)
    if message.name:
        call.caller.check_model(message.name)
        model = registry.probe(message.name, version)
        if model is not None:
            call.model, call.version = model.name, str(model.version)
    elif version is not None:
        raise InvalidRequest(f"version is {message.version!r} and name is ''; wanted a model's name beside it")
    response = pb.ModelStatisticsResponse()
    for status in call.caller.visible(registry.statuses(message.name or None)):
        asked = version in (None, status.version) and status.is_loaded
        if asked and (model := registry.probe(status.name, status.version)) is not None:
            response.model_stats.append(_to_message(model, model.metrics.statistics()))
    return response.SerializeToString()


def _to_message(model: LiveModel, statistics: Statistics) -> pb.ModelStatistics:
    """The sums of one version as a message."""
    return pb.ModelStatistics(
        name=model.name,
        version=str(model.version),
        last_inference=int(statistics.last_run_seconds * 1e3),
        inference_count=statistics.rows,
        execution_count=statistics.runs,
        inference_stats=pb.InferStatistics(
            success=_to_duration(statistics.success),
            fail=_to_duration(statistics.fail),
            queue=_to_duration(statistics.queue),
            compute_input=_to_untimed(statistics.compute),
            compute_infer=_to_duration(statistics.compute),
            compute_output=_to_untimed(statistics.compute),
        ),
        batch_stats=[
            pb.InferBatchStatistics(
                batch_size=rows,
                compute_input=_to_untimed(runs),
                compute_infer=_to_duration(runs),
                compute_output=_to_untimed(runs),
            )
            for rows, runs in sorted(statistics.batches.items())
        ],
    )


def _to_duration(duration: Duration) -> pb.StatisticDuration:
    return pb.StatisticDuration(count=duration.count, ns=int(duration.seconds * 1e9))


def _to_untimed(duration: Duration) -> pb.StatisticDuration:
    """What is counted without its time; perf_analyzer ends at once where the three compute counts differ."""
    return pb.StatisticDuration(count=duration.count)
