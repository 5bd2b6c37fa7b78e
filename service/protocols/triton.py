"""Triton's extensions of the Open Inference Protocol: configuration, statistics, the repository; the rest says no.

Each method is a short function from bytes to bytes, as in open_inference.py, whose service they are part of.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from kan_api.v1.manifest_pb2 import TensorSpec
from open_inference import grpc_predict_v2_pb2 as pb
from open_inference import model_config_pb2
from service.errors import Draining, InvalidRequest, ModelNotReady, StartupError, Unsupported
from service.metrics.statistics import Duration, Statistics
from service.registry.model.live_model import LiveModel
from service.registry.registry import Registry, State
from service.rpc.calls import RequestContext, parse
from service.rpc.status import shortened

PLATFORM = "onnxruntime_onnx"
# Triton's names of the extensions that are here; perf_analyzer asks for statistics only where they are named.
EXTENSIONS = ("model_configuration", "model_repository", "statistics")
# A request's parameter "priority": 1 is interactive, 2 is bulk.
PRIORITY_LEVELS = 2

_DATA_TYPES = {"FP32": model_config_pb2.TYPE_FP32, "BYTES": model_config_pb2.TYPE_STRING}
# Triton's words; it shows a version that failed to load as UNAVAILABLE, with a reason.
_STATES = {State.LOADING: "LOADING", State.READY: "READY", State.LINGERING: "READY", State.REFUSED: "UNAVAILABLE"}
_VERSION = re.compile(r"[1-9][0-9]{0,17}")
_SHARED_MEMORY = "this server reads no shared memory; send the tensors in the request"
_UNSUPPORTED = {
    **{
        f"{kind}SharedMemory{what}": _SHARED_MEMORY
        for kind in ("System", "Cuda")
        for what in ("Status", "Register", "Unregister")
    },
    "TraceSetting": "this server traces nothing; its times are in ModelStatistics and in the metrics",
    "LogSettings": "this server's log is set when it is started",
}


def answers(
    registry: Registry, max_request_rows: int
) -> Mapping[str, Callable[[RequestContext, bytes], Awaitable[bytes]]]:
    """The extensions' handlers, by method name.

    Args:
        registry: Who knows the models.
        max_request_rows: Most rows that one request may bring.
    """
    return {
        "ModelConfig": partial(_model_config, registry, max_request_rows),
        "ModelStatistics": partial(_model_statistics, registry),
        "RepositoryIndex": partial(_repository_index, registry),
        "RepositoryModelLoad": partial(_repository_model_load, registry),
        "RepositoryModelUnload": partial(_repository_model_unload, registry),
        **{name: partial(_unsupported, name, sentence) for name, sentence in _UNSUPPORTED.items()},
    }


def version_named(version: str) -> int | None:
    """The version that a request names; None for the latest.

    Raises:
        InvalidRequest: It is no number.
    """
    if not version:
        return None
    if not _VERSION.fullmatch(version):
        raise InvalidRequest(f"model version is {version!r}; wanted a number such as '3', or '' for the latest")
    return int(version)


def ready_versions(registry: Registry, name: str) -> list[int]:
    """The versions of a model that answer, oldest first."""
    return [status.version for status in registry.statuses() if status.name == name and status.state is State.READY]


async def _model_config(registry: Registry, max_request_rows: int, call: RequestContext, request: bytes) -> bytes:
    """ModelConfig: what Triton's configuration file of this model would say."""
    message = parse(pb.ModelConfigRequest, request)
    with await registry.lease_or_wait(message.name, version_named(message.version), call.deadline) as model:
        call.model, call.version = model.name, str(model.version)
        config = model_config_pb2.ModelConfig(
            name=model.name,
            platform=PLATFORM,
            backend="onnxruntime",
            version_policy={"specific": {"versions": ready_versions(registry, model.name)}},
            max_batch_size=max_request_rows,
            input=map(_configured, model.manifest.inputs),
            output=map(_configured, model.tensors.outputs),
            default_model_filename="model.onnx",
            dynamic_batching={
                "preferred_batch_size": [model.batcher.max_batch_rows],
                "priority_levels": PRIORITY_LEVELS,
                "default_priority_level": 1,
            },
        )
    return pb.ModelConfigResponse(config=config).SerializeToString()


def _configured(spec: TensorSpec) -> Mapping[str, Any]:
    """A tensor as the configuration has it: without its rows, for which max_batch_size stands."""
    return {"name": spec.name, "data_type": _DATA_TYPES[spec.datatype], "dims": spec.shape[1:]}


async def _model_statistics(registry: Registry, call: RequestContext, request: bytes) -> bytes:
    """ModelStatistics: of one version, of a model's versions, or of all models, as far as they answer."""
    message = parse(pb.ModelStatisticsRequest, request)
    version = version_named(message.version)
    if message.name:
        with registry.lease(message.name, version) as model:
            call.model, call.version = model.name, str(model.version)
    elif version is not None:
        raise InvalidRequest(f"version is {message.version!r} and name is ''; wanted a model's name beside it")
    response = pb.ModelStatisticsResponse()
    for status in registry.statuses():
        asked = message.name in ("", status.name) and version in (None, status.version)
        if asked and status.answers:
            with registry.lease(status.name, status.version) as model:
                response.model_stats.append(_statistics(model, model.metrics.statistics()))
    return response.SerializeToString()


async def _repository_index(registry: Registry, _call: RequestContext, request: bytes) -> bytes:
    """RepositoryIndex: every version, or those that are ready."""
    message = parse(pb.RepositoryIndexRequest, request)
    _check_repository(message.repository_name)
    return pb.RepositoryIndexResponse(
        models=[
            pb.RepositoryIndexResponse.ModelIndex(
                name=status.name,
                version=str(status.version),
                state=_STATES[status.state],
                reason=shortened(status.reason),
            )
            for status in registry.statuses()
            if status.answers or not message.ready
        ]
    ).SerializeToString()


async def _repository_model_load(registry: Registry, _call: RequestContext, request: bytes) -> bytes:
    """RepositoryModelLoad: answered once the model answers."""
    message = parse(pb.RepositoryModelLoadRequest, request)
    _check_allowed(registry)
    _check_repository(message.repository_name)
    if message.parameters:
        raise InvalidRequest(f"parameters has {min(message.parameters)!r}; wanted none: models are loaded as published")
    if registry.draining:
        raise Draining("the server is stopping and loads nothing new")
    try:
        await registry.load(message.model_name)
    except StartupError as error:
        raise ModelNotReady(str(error)) from error
    return pb.RepositoryModelLoadResponse().SerializeToString()


async def _repository_model_unload(registry: Registry, _call: RequestContext, request: bytes) -> bytes:
    """RepositoryModelUnload: the model is found no longer; requests that hold it are still answered."""
    message = parse(pb.RepositoryModelUnloadRequest, request)
    _check_allowed(registry)
    _check_repository(message.repository_name)
    # Sent by Triton's client with every unload; no model here depends on another.
    unknown = set(message.parameters) - {"unload_dependents"}
    if unknown:
        raise InvalidRequest(f"parameters has {min(unknown)!r}; wanted 'unload_dependents' or none")
    await registry.unload(message.model_name)
    return pb.RepositoryModelUnloadResponse().SerializeToString()


async def _unsupported(name: str, sentence: str, _call: RequestContext, _request: bytes) -> bytes:
    """A method that the protocol has and this server does not."""
    raise Unsupported(f"{name}: {sentence}")


def _check_allowed(registry: Registry) -> None:
    """Anybody who reaches the port could else take a model away from everybody."""
    if not registry.callers_may_load:
        raise Unsupported("this server loads models by itself; it was started without allow_load")


def _check_repository(name: str) -> None:
    if name:
        raise InvalidRequest(f"repository_name is {name!r}; wanted '': there is one, without a name")


def _statistics(model: LiveModel, statistics: Statistics) -> pb.ModelStatistics:
    """The sums of one version as a message."""
    return pb.ModelStatistics(
        name=model.name,
        version=str(model.version),
        last_inference=int(statistics.last_run_seconds * 1e3),
        inference_count=statistics.rows,
        execution_count=statistics.runs,
        inference_stats=pb.InferStatistics(
            success=_duration(statistics.success),
            fail=_duration(statistics.fail),
            queue=_duration(statistics.queue),
            compute_input=_not_timed(statistics.compute),
            compute_infer=_duration(statistics.compute),
            compute_output=_not_timed(statistics.compute),
        ),
        batch_stats=[
            pb.InferBatchStatistics(
                batch_size=rows,
                compute_input=_not_timed(runs),
                compute_infer=_duration(runs),
                compute_output=_not_timed(runs),
            )
            for rows, runs in sorted(statistics.batches.items())
        ],
    )


def _duration(duration: Duration) -> pb.StatisticDuration:
    return pb.StatisticDuration(count=duration.count, ns=int(duration.seconds * 1e9))


def _not_timed(duration: Duration) -> pb.StatisticDuration:
    """What is counted without its time; perf_analyzer ends at once where the three compute counts differ."""
    return pb.StatisticDuration(count=duration.count)
