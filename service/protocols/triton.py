"""Triton's extensions of the Open Inference Protocol: streams, configuration, statistics, the repository.

Each method is a short function from bytes to bytes, as in open_inference.py, whose service they are part of. The
extensions that this server does not have are refused by name.
"""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from kan_api.v1.manifest_pb2 import TensorSpec
from open_inference import grpc_predict_v2_pb2 as pb
from open_inference import model_config_pb2
from service.errors import Draining, InvalidRequest, RepositoryUnreadable, StartupError, Unsupported
from service.protocols.open_inference import (
    PLATFORM,
    PRIORITY_LEVELS,
    PROTOCOL,
    SERVICE,
    infer,
    list_ready_versions,
    method,
    read_version,
)
from service.protocols.paced import paced
from service.protocols.triton_statistics import model_statistics
from service.registry.registry import Registry, State
from service.rpc.calls import BidiStream, Method, RequestContext, parse, read_name
from service.rpc.status import RpcError, shorten

# Triton's names of the extensions that are here; perf_analyzer asks for statistics only where they are named.
EXTENSIONS = ("model_configuration", "model_repository", "statistics")

_DATA_TYPES = {"FP32": model_config_pb2.TYPE_FP32, "BYTES": model_config_pb2.TYPE_STRING}
# Triton's words; it shows a version that failed to load as UNAVAILABLE, with a reason.
_STATES = {
    State.LOADING: "LOADING",
    State.COLD: "READY",
    State.READY: "READY",
    State.LINGERING: "READY",
    State.REFUSED: "UNAVAILABLE",
}
_SHARED_MEMORY = "this server reads no shared memory; send the tensors in the request"
_UNSUPPORTED = {
    **{
        f"{kind}SharedMemory{what}": _SHARED_MEMORY
        for kind in ("System", "Cuda")
        for what in ("Status", "Register", "Unregister")
    },
    "TraceSetting": "this server's traces are set when it is started; its times are in ModelStatistics and the metrics",
    "LogSettings": "this server's log is set when it is started",
}


def methods(registry: Registry, max_request_rows: int) -> list[Method]:
    """The extensions' methods.

    Args:
        registry: Knows the models.
        max_request_rows: Most rows that one request may bring.
    """
    stream = partial(_model_stream_infer, registry, max_request_rows)
    return [
        BidiStream(f"/{SERVICE}/ModelStreamInfer", PROTOCOL, stream, _answer_failure),
        method("ModelConfig", partial(_model_config, registry, max_request_rows)),
        method("ModelStatistics", partial(model_statistics, registry)),
        method("RepositoryIndex", partial(_repository_index, registry)),
        method("RepositoryModelLoad", partial(_repository_model_load, registry)),
        method("RepositoryModelUnload", partial(_repository_model_unload, registry)),
        *(method(name, partial(_refuse, name, sentence)) for name, sentence in _UNSUPPORTED.items()),
    ]


async def _model_stream_infer(registry: Registry, max_request_rows: int, call: RequestContext, request: bytes) -> bytes:
    """ModelStreamInfer: one request of a stream."""
    response = pb.ModelStreamInferResponse()
    await infer(registry, max_request_rows, call, request, response.infer_response)
    # Triton says so on every stream: each of its requests may have several answers.
    response.infer_response.parameters["triton_final_response"].bool_param = True
    return response.SerializeToString()


def _answer_failure(request: bytes, error: RpcError) -> bytes:
    """What a stream gives where a request failed; Triton has no field for the code, so it goes before the message."""
    response = pb.ModelStreamInferResponse(error_message=f"{error.code.name}: {error.message}")
    with suppress(InvalidRequest):
        response.infer_response.id = parse(pb.ModelInferRequest, request).id
    return response.SerializeToString()


async def _model_config(registry: Registry, max_request_rows: int, call: RequestContext, request: bytes) -> bytes:
    """ModelConfig: what Triton's configuration file of this model would say."""
    message = parse(pb.ModelConfigRequest, request)
    with await registry.lease_or_wait(
        read_name(message.name, "name"), read_version(message.version), call.deadline, call.caller
    ) as model:
        call.model, call.version = model.name, str(model.version)
        config = model_config_pb2.ModelConfig(
            name=model.name,
            platform=PLATFORM,
            backend="onnxruntime",
            version_policy={"specific": {"versions": list_ready_versions(registry, model.name)}},
            max_batch_size=min(max_request_rows, model.limits.request_rows),
            input=map(_describe_tensor, model.tensors.inputs),
            output=map(_describe_tensor, model.tensors.outputs),
            default_model_filename="model.onnx",
            dynamic_batching={
                "preferred_batch_size": [model.batcher.max_batch_rows],
                "priority_levels": PRIORITY_LEVELS,
                "default_priority_level": 1,
            },
        )
    return pb.ModelConfigResponse(config=config).SerializeToString()


def _describe_tensor(spec: TensorSpec) -> Mapping[str, Any]:
    """A tensor as the configuration has it: without its rows, for which max_batch_size stands."""
    return {"name": spec.name, "data_type": _DATA_TYPES[spec.datatype], "dims": spec.shape[1:]}


async def _repository_index(registry: Registry, call: RequestContext, request: bytes) -> bytes:
    """RepositoryIndex: every version, or those that are ready."""
    message = parse(pb.RepositoryIndexRequest, request)
    _check_repository(message.repository_name)
    response = pb.RepositoryIndexResponse()
    async for status in paced(call.caller.visible(registry.statuses())):
        if status.answers or not message.ready:
            response.models.add(
                name=status.name,
                version=str(status.version),
                state=_STATES[status.state],
                reason=shorten(status.reason),
            )
    return response.SerializeToString()


async def _repository_model_load(registry: Registry, call: RequestContext, request: bytes) -> bytes:
    """RepositoryModelLoad: answered once the model answers."""
    message = parse(pb.RepositoryModelLoadRequest, request)
    _check_allowed(registry)
    _check_repository(message.repository_name)
    call.caller.check_model(read_name(message.model_name, "model_name"))
    if message.parameters:
        raise InvalidRequest(f"parameters has {min(message.parameters)!r}; wanted none: models are loaded as published")
    if registry.draining:
        raise Draining("the server is stopping and loads nothing new")
    try:
        await registry.load(message.model_name)
    except StartupError as error:
        raise RepositoryUnreadable(str(error)) from error
    return pb.RepositoryModelLoadResponse().SerializeToString()


async def _repository_model_unload(registry: Registry, call: RequestContext, request: bytes) -> bytes:
    """RepositoryModelUnload: the model is found no longer; requests that hold it are still answered."""
    message = parse(pb.RepositoryModelUnloadRequest, request)
    _check_allowed(registry)
    _check_repository(message.repository_name)
    call.caller.check_model(read_name(message.model_name, "model_name"))
    # Sent by Triton's client with every unload; no model here depends on another.
    unknown = set(message.parameters) - {"unload_dependents"}
    if unknown:
        raise InvalidRequest(f"parameters has {min(unknown)!r}; wanted 'unload_dependents' or none")
    await registry.unload(message.model_name)
    return pb.RepositoryModelUnloadResponse().SerializeToString()


async def _refuse(name: str, sentence: str, _call: RequestContext, _request: bytes) -> bytes:
    """A method that the protocol has and this server does not."""
    raise Unsupported(f"{name}: {sentence}")


def _check_allowed(registry: Registry) -> None:
    """Anybody who reaches the port could else take a model away from everybody."""
    if not registry.callers_may_load:
        raise Unsupported("this server loads models by itself; it was started without allow_load")


def _check_repository(name: str) -> None:
    if name:
        raise InvalidRequest(f"repository_name is {name!r}; wanted '': there is one, without a name")
