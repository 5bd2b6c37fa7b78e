"""The Open Inference Protocol, inference.GRPCInferenceService: each method a short function from bytes to bytes.

Source: the protocol's version 2 as KServe publishes it; RepositoryIndex is Triton's extension.
"""

import re
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.metadata import version as installed_version

from open_inference import grpc_predict_v2_pb2 as pb
from service import codec
from service.errors import InvalidRequest, ModelNotReady
from service.registry import Registry, State
from service.rpc import Call, Method, Unary, parse

SERVICE = "inference.GRPCInferenceService"

# Triton's words; it shows a version that failed to load as UNAVAILABLE, with a reason.
_STATES = {State.LOADING: "LOADING", State.READY: "READY", State.REFUSED: "UNAVAILABLE"}
_VERSION = re.compile(r"[1-9][0-9]{0,17}")


def methods(registry: Registry, max_request_rows: int) -> list[Method]:
    """The service's methods.

    Args:
        registry: Who knows the models.
        max_request_rows: Most rows that one request may bring.
    """
    return [
        _method("ServerLive", _server_live),
        _method("ServerReady", partial(_server_ready, registry)),
        _method("ModelReady", partial(_model_ready, registry)),
        _method("ServerMetadata", _server_metadata),
        _method("ModelMetadata", partial(_model_metadata, registry)),
        _method("ModelInfer", partial(_model_infer, registry, max_request_rows)),
        _method("RepositoryIndex", partial(_repository_index, registry)),
    ]


def _method(name: str, answer: Callable[[Call, bytes], Awaitable[bytes]]) -> Method:
    return Unary(f"/{SERVICE}/{name}", "open_inference", answer)


async def _server_live(_call: Call, request: bytes) -> bytes:
    """ServerLive: whoever reads the answer knows it already."""
    parse(pb.ServerLiveRequest, request)
    return pb.ServerLiveResponse(live=True).SerializeToString()


async def _server_ready(registry: Registry, _call: Call, request: bytes) -> bytes:
    """ServerReady: every model answers and the server is not stopping."""
    parse(pb.ServerReadyRequest, request)
    return pb.ServerReadyResponse(ready=registry.ready()).SerializeToString()


async def _model_ready(registry: Registry, call: Call, request: bytes) -> bytes:
    """ModelReady: whether a version that the server knows answers."""
    message = parse(pb.ModelReadyRequest, request)
    try:
        with registry.lease(message.name, _version(message.version)) as model:
            call.model, call.version = model.name, str(model.version)
            ready = not registry.draining
    except ModelNotReady:
        ready = False
    return pb.ModelReadyResponse(ready=ready).SerializeToString()


async def _server_metadata(_call: Call, request: bytes) -> bytes:
    """ServerMetadata: who answers."""
    parse(pb.ServerMetadataRequest, request)
    return pb.ServerMetadataResponse(name="kan-serve", version=installed_version("kan-serving")).SerializeToString()


async def _model_metadata(registry: Registry, call: Call, request: bytes) -> bytes:
    """ModelMetadata: the tensors of a version that is ready, and the versions there are."""
    message = parse(pb.ModelMetadataRequest, request)
    with registry.lease(message.name, _version(message.version)) as model:
        call.model, call.version = model.name, str(model.version)
        response = pb.ModelMetadataResponse(name=model.name, platform="onnxruntime_onnx")
        for tensors, specs in ((response.inputs, model.manifest.inputs), (response.outputs, model.manifest.outputs)):
            for spec in specs:
                tensors.add(name=spec.name, datatype=spec.datatype, shape=spec.shape)
    response.versions.extend(
        str(status.version)
        for status in registry.statuses()
        if status.name == message.name and status.state is State.READY
    )
    return response.SerializeToString()


async def _model_infer(registry: Registry, max_request_rows: int, call: Call, request: bytes) -> bytes:
    """ModelInfer: rows in, one answer a row out."""
    message = parse(pb.ModelInferRequest, request)
    with registry.lease(message.model_name, _version(message.model_version)) as model:
        call.model, call.version = model.name, str(model.version)
        wanted = codec.wanted_outputs(message, model)
        rows = codec.decode_infer(message, model, max_request_rows)
        result = await model.batcher.submit(rows, call.deadline)
        response = pb.ModelInferResponse(model_name=model.name, model_version=str(model.version), id=message.id)
        codec.encode_infer(response, result.outputs, model, wanted)
        return response.SerializeToString()


async def _repository_index(registry: Registry, _call: Call, request: bytes) -> bytes:
    """RepositoryIndex: every version, or those that are ready."""
    message = parse(pb.RepositoryIndexRequest, request)
    if message.repository_name:
        raise InvalidRequest(f"repository_name is {message.repository_name!r}; wanted '': there is one, without a name")
    return pb.RepositoryIndexResponse(
        models=[
            pb.RepositoryIndexResponse.ModelIndex(
                name=status.name, version=str(status.version), state=_STATES[status.state], reason=status.reason
            )
            for status in registry.statuses()
            if status.state is State.READY or not message.ready
        ]
    ).SerializeToString()


def _version(version: str) -> int | None:
    """The version that a request names; None for the latest."""
    if not version:
        return None
    if not _VERSION.fullmatch(version):
        raise InvalidRequest(f"model version is {version!r}; wanted a number such as '3', or '' for the latest")
    return int(version)
