"""The Open Inference Protocol, inference.GRPCInferenceService: each method a short function from bytes to bytes.

Triton's extensions add methods to the same service: triton.py holds them, and nothing here knows of them but the
parameters of a request that Triton names.

Source: the protocol's version 2 as KServe publishes it.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from importlib.metadata import version as installed_version
from typing import Any

from numpy.typing import NDArray

from kan_api.version_folder import version_number
from open_inference import grpc_predict_v2_pb2 as pb
from service.errors import InvalidRequest, ModelNotReady
from service.protocols.explanation import INLINE_NUMBERS, explain
from service.protocols.ground import look_at, unknown_cells
from service.protocols.open_inference_codec import choose_outputs, decode_infer, encode_infer
from service.registry.registry import Registry
from service.registry.version_status import SERVED
from service.rpc.calls import Method, RequestContext, Unary, parse, read_name

SERVICE = "inference.GRPCInferenceService"
# The metrics' label of every method, Triton's too.
PROTOCOL = "open_inference"
PLATFORM = "onnxruntime_onnx"
# Of an answer by a model whose policy is "flag": how many of its rows lie on unknown ground.
UNKNOWN_ROWS = "unknown_ground_rows"
# A request's parameter "priority": 1 is interactive, 2 is bulk.
PRIORITY_LEVELS = 2


def methods(registry: Registry, max_request_rows: int, extensions: Iterable[str] = ()) -> list[Method]:
    """The protocol's own methods.

    Args:
        registry: Knows the models.
        max_request_rows: Most rows that one request may bring.
        extensions: Names of the extensions whose methods stand beside these.
    """
    return [
        method("ServerLive", _server_live),
        method("ServerReady", partial(_server_ready, registry)),
        method("ModelReady", partial(_model_ready, registry)),
        method("ServerMetadata", partial(_server_metadata, tuple(extensions))),
        method("ModelMetadata", partial(_model_metadata, registry)),
        method("ModelInfer", partial(_model_infer, registry, max_request_rows)),
    ]


def method(name: str, answer: Callable[[RequestContext, bytes], Awaitable[bytes]]) -> Method:
    """A method of the service, for the table."""
    return Unary(f"/{SERVICE}/{name}", PROTOCOL, answer)


def read_version(version: str) -> int | None:
    """The version that a request names; None for the latest.

    Raises:
        InvalidRequest: It is no number.
    """
    if not version:
        return None
    number = version_number(version)
    if number is None:
        raise InvalidRequest(f"model version is {version!r}; wanted a number such as '3', or '' for the latest")
    return number


def list_ready_versions(registry: Registry, name: str) -> list[int]:
    """The versions of a model that answer, oldest first."""
    return [status.version for status in registry.statuses(name) if status.state in SERVED]


async def infer(
    registry: Registry, max_request_rows: int, call: RequestContext, request: bytes, response: pb.ModelInferResponse
) -> None:
    """Run the rows of a ModelInfer request.

    Args:
        registry: Knows the models.
        max_request_rows: Most rows that one request may bring.
        call: Gets the model and version that answered, and the time of the runs.
        request: The message as it came over the wire.
        response: Gets the answer.
    """
    message = parse(pb.ModelInferRequest, request)
    with await registry.lease_or_wait(
        read_name(message.model_name, "model_name"),
        read_version(message.model_version),
        call.deadline,
        call.caller,
    ) as model:
        call.model, call.version, call.inference = model.name, str(model.version), True
        chosen = choose_outputs(message, model)
        call.inference = chosen.predicts
        deadline, bulk = _read_deadline(call, message), _is_bulk(message)
        rows = decode_infer(message, model, max_request_rows)
        call.rows = len(rows)
        if call.caller.token is not None:
            call.caller.take_rows(len(rows))
        looks = model.ground.flags or model.ground.refuses
        ground = await look_at(f"input {model.tensors.input_name!r}", rows, model, asked=False) if looks else None
        answers: dict[str, NDArray[Any]] = {}
        if chosen.predicts:
            result = await model.submit(rows, deadline, bulk=bulk, follower=call.trace)
            call.queue_seconds, call.compute_seconds = result.queue_seconds, result.compute_seconds
            answers.update(zip(model.tensors.graph_names, result.outputs, strict=True))
        if chosen.explains:
            explained = await explain(model, rows, None, deadline, bulk=bulk, follower=call.trace)
            answers[model.tensors.contributions_name] = explained.contributions
            answers[model.tensors.baseline_name] = explained.baseline
        if chosen.looks and model.ground.known is not None:
            answers[model.tensors.ground_name] = await unknown_cells(rows, model.ground.known)
        response.model_name, response.model_version, response.id = model.name, str(model.version), message.id
        if sum(each.size for each in answers.values()) <= INLINE_NUMBERS:
            encode_infer(response, answers, model, chosen)
        else:
            await asyncio.to_thread(encode_infer, response, answers, model, chosen)
        if ground is not None and ground.is_known:
            response.parameters[UNKNOWN_ROWS].int64_param = ground.unknown_rows


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
    call.caller.check_model(read_name(message.name, "name"))
    try:
        model = registry.probe(message.name, read_version(message.version))
    except ModelNotReady:
        return pb.ModelReadyResponse(ready=False).SerializeToString()
    if model is not None:
        call.model, call.version = model.name, str(model.version)
    ready = not registry.draining
    return pb.ModelReadyResponse(ready=ready).SerializeToString()


async def _server_metadata(extensions: tuple[str, ...], _call: RequestContext, request: bytes) -> bytes:
    """ServerMetadata: the server's name and version, and its extensions."""
    parse(pb.ServerMetadataRequest, request)
    return pb.ServerMetadataResponse(
        name="kan-serve", version=installed_version("kan-serving"), extensions=extensions
    ).SerializeToString()


async def _model_metadata(registry: Registry, call: RequestContext, request: bytes) -> bytes:
    """ModelMetadata: the tensors of a version that is ready, and the versions there are."""
    message = parse(pb.ModelMetadataRequest, request)
    with await registry.lease_or_wait(
        read_name(message.name, "name"), read_version(message.version), call.deadline, call.caller
    ) as model:
        call.model, call.version = model.name, str(model.version)
        response = pb.ModelMetadataResponse(name=model.name, platform=PLATFORM)
        for tensors, specs in ((response.inputs, model.tensors.inputs), (response.outputs, model.tensors.outputs)):
            for spec in specs:
                tensors.add(name=spec.name, datatype=spec.datatype, shape=spec.shape)
    response.versions.extend(map(str, list_ready_versions(registry, message.name)))
    return response.SerializeToString()


async def _model_infer(registry: Registry, max_request_rows: int, call: RequestContext, request: bytes) -> bytes:
    """ModelInfer: rows in, one answer a row out."""
    response = pb.ModelInferResponse()
    await infer(registry, max_request_rows, call, request, response)
    return response.SerializeToString()


def _read_deadline(call: RequestContext, message: pb.ModelInferRequest) -> float | None:
    """The call's deadline, or the request's own where that is sooner: its parameter "timeout", in microseconds."""
    microseconds = _read_parameter(message, "timeout", "microseconds, 0 or more")
    if not microseconds:  # Triton's word for none
        return call.deadline
    return min(time.monotonic() + microseconds / 1e6, math.inf if call.deadline is None else call.deadline)


def _is_bulk(message: pb.ModelInferRequest) -> bool:
    """Whether others go first: by Triton's parameter "priority", which is 1 for the first; 0 is the default."""
    wanted = f"0 or 1 (interactive) or {PRIORITY_LEVELS} (bulk)"
    return _read_parameter(message, "priority", wanted, PRIORITY_LEVELS) == PRIORITY_LEVELS


def _read_parameter(message: pb.ModelInferRequest, name: str, wanted: str, most: float = math.inf) -> int:
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
