"""The Open Inference Protocol, inference.GRPCInferenceService: each method a short function from bytes to bytes.

Source: the protocol's version 2 as KServe publishes it; ModelStreamInfer and what triton.py holds are Triton's.
"""

import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from importlib.metadata import version as installed_version

from open_inference import grpc_predict_v2_pb2 as pb
from service.errors import InvalidRequest, ModelNotReady
from service.protocols import codec, triton
from service.protocols.triton import ready_versions, version_named
from service.registry.registry import Registry
from service.rpc.calls import BidiStream, Method, RequestContext, Unary, parse
from service.rpc.status import RpcError

SERVICE = "inference.GRPCInferenceService"


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
        BidiStream(
            f"/{SERVICE}/ModelStreamInfer",
            "open_inference",
            partial(_model_stream_infer, registry, max_request_rows),
            _stream_failure,
        ),
        *(_method(name, answer) for name, answer in triton.answers(registry, max_request_rows).items()),
    ]


def _method(name: str, answer: Callable[[RequestContext, bytes], Awaitable[bytes]]) -> Method:
    return Unary(f"/{SERVICE}/{name}", "open_inference", answer)


async def _server_live(_call: RequestContext, request: bytes) -> bytes:
    """ServerLive: whoever reads the answer knows it already."""
    parse(pb.ServerLiveRequest, request)
    return pb.ServerLiveResponse(live=True).SerializeToString()


async def _server_ready(registry: Registry, _call: RequestContext, request: bytes) -> bytes:
    """ServerReady: every model answers and the server is not stopping."""
    parse(pb.ServerReadyRequest, request)
    return pb.ServerReadyResponse(ready=registry.ready()).SerializeToString()


async def _model_ready(registry: Registry, call: RequestContext, request: bytes) -> bytes:
    """ModelReady: whether a version that the server knows answers."""
    message = parse(pb.ModelReadyRequest, request)
    try:
        with registry.lease(message.name, version_named(message.version)) as model:
            call.model, call.version = model.name, str(model.version)
            ready = not registry.draining
    except ModelNotReady:
        ready = False
    return pb.ModelReadyResponse(ready=ready).SerializeToString()


async def _server_metadata(_call: RequestContext, request: bytes) -> bytes:
    """ServerMetadata: who answers."""
    parse(pb.ServerMetadataRequest, request)
    return pb.ServerMetadataResponse(
        name="kan-serve", version=installed_version("kan-serving"), extensions=triton.EXTENSIONS
    ).SerializeToString()


async def _model_metadata(registry: Registry, call: RequestContext, request: bytes) -> bytes:
    """ModelMetadata: the tensors of a version that is ready, and the versions there are."""
    message = parse(pb.ModelMetadataRequest, request)
    with await registry.lease_or_wait(message.name, version_named(message.version), call.deadline) as model:
        call.model, call.version = model.name, str(model.version)
        response = pb.ModelMetadataResponse(name=model.name, platform=triton.PLATFORM)
        for tensors, specs in ((response.inputs, model.manifest.inputs), (response.outputs, model.tensors.outputs)):
            for spec in specs:
                tensors.add(name=spec.name, datatype=spec.datatype, shape=spec.shape)
    response.versions.extend(map(str, ready_versions(registry, message.name)))
    return response.SerializeToString()


async def _model_infer(registry: Registry, max_request_rows: int, call: RequestContext, request: bytes) -> bytes:
    """ModelInfer: rows in, one answer a row out."""
    response = pb.ModelInferResponse()
    await _infer(registry, max_request_rows, call, request, response)
    return response.SerializeToString()


async def _model_stream_infer(registry: Registry, max_request_rows: int, call: RequestContext, request: bytes) -> bytes:
    """ModelStreamInfer: one request of a stream."""
    response = pb.ModelStreamInferResponse()
    await _infer(registry, max_request_rows, call, request, response.infer_response)
    # Triton says so on every stream: each of its requests may have several answers.
    response.infer_response.parameters["triton_final_response"].bool_param = True
    return response.SerializeToString()


def _stream_failure(request: bytes, error: RpcError) -> bytes:
    """What a stream gives where a request failed; Triton has no field for the code, so it goes before the message."""
    response = pb.ModelStreamInferResponse(error_message=f"{error.code.name}: {error.message}")
    with suppress(InvalidRequest):
        response.infer_response.id = parse(pb.ModelInferRequest, request).id
    return response.SerializeToString()


async def _infer(
    registry: Registry, max_request_rows: int, call: RequestContext, request: bytes, response: pb.ModelInferResponse
) -> None:
    """Compute the rows of a request and put the answer into the response."""
    message = parse(pb.ModelInferRequest, request)
    with await registry.lease_or_wait(message.model_name, version_named(message.model_version), call.deadline) as model:
        call.model, call.version, call.inference = model.name, str(model.version), True
        wanted = codec.wanted_outputs(message, model)
        deadline, bulk = _deadline(call, message), _bulk(message)
        rows = codec.decode_infer(message, model, max_request_rows)
        result = await model.batcher.submit(rows, deadline, bulk=bulk)
        call.compute_seconds = result.compute_seconds
        response.model_name, response.model_version, response.id = model.name, str(model.version), message.id
        codec.encode_infer(response, result.outputs, model, wanted)


def _deadline(call: RequestContext, message: pb.ModelInferRequest) -> float | None:
    """The call's deadline, or the request's own where that is sooner: its parameter "timeout", in microseconds."""
    microseconds = _parameter(message, "timeout", "microseconds, 0 or more")
    if not microseconds:  # Triton's word for none
        return call.deadline
    return min(time.monotonic() + microseconds / 1e6, math.inf if call.deadline is None else call.deadline)


def _bulk(message: pb.ModelInferRequest) -> bool:
    """Whether others go first: by Triton's parameter "priority", which is 1 for the first; 0 is the default."""
    wanted = f"0 or 1 (interactive) or {triton.PRIORITY_LEVELS} (bulk)"
    return _parameter(message, "priority", wanted, triton.PRIORITY_LEVELS) == triton.PRIORITY_LEVELS


def _parameter(message: pb.ModelInferRequest, name: str, wanted: str, most: float = math.inf) -> int:
    """A parameter of a request that is a whole number, 0 where it has none of that name.

    Args:
        message: The request.
        name: The parameter's.
        wanted: In words.
        most: The largest that it may be.

    Raises:
        InvalidRequest: It is no whole number, negative, or larger.
    """
    if name not in message.parameters:
        return 0
    parameter = message.parameters[name]
    kind = parameter.WhichOneof("parameter_choice")
    number = getattr(parameter, kind) if kind in ("int64_param", "uint64_param") else -1
    if not 0 <= number <= most:
        raise InvalidRequest(f"parameter {name!r} is {str(parameter).strip() or 'empty'}; wanted {wanted}")
    return int(number)
