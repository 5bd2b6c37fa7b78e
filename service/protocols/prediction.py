"""kan_api.v1.PredictionService: each method a short function from bytes to bytes."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from kan_api.v1 import prediction_pb2 as pb
from kan_api.v1.manifest_pb2 import ModelManifest
from service.errors import InvalidRequest
from service.protocols.explanation import INLINE_NUMBERS, explain
from service.protocols.explanation_codec import encode_explanation
from service.protocols.ground import look_at
from service.protocols.paced import paced
from service.protocols.prediction_codec import decode_matrix, encode_matrix
from service.registry.registry import Registry, State
from service.rpc.calls import BidiStream, Method, RequestContext, Unary, parse, read_name
from service.rpc.status import RpcError, shorten
from service.settings import Settings

SERVICE = "kan_api.v1.PredictionService"
EXPLAIN = f"/{SERVICE}/Explain"

# gRPC's clients take no more unless they are told otherwise.
_MOST_MANIFEST_BYTES = 4 * 2**20
# Names and tags around a manifest in its answer.
_ENVELOPE_BYTES = 512
# Fields of a manifest that grow with the training and that no prediction needs, the most dispensable first.
_DISPENSABLE = (
    "recipe",
    "formula_details",
    "formula",
    "lowering",
    "metrics",
    "origin",
    "data",
    "files",
    "network",
    "explanation",
    "answers",
)

_STATES = {
    State.LOADING: pb.MODEL_STATE_LOADING,
    State.COLD: pb.MODEL_STATE_READY,
    State.READY: pb.MODEL_STATE_READY,
    State.LINGERING: pb.MODEL_STATE_READY,
    State.REFUSED: pb.MODEL_STATE_REFUSED,
}


def limits_of(settings: Settings) -> pb.Limits:
    """How much the server takes at once, whichever model is asked."""
    return pb.Limits(max_request_rows=settings.max_request_rows, max_message_bytes=settings.max_message_bytes)


def methods(registry: Registry, limits: pb.Limits) -> list[Method]:
    """The service's methods.

    Args:
        registry: Who knows the models.
        limits: What the server takes at once, whichever model is asked.
    """
    max_request_rows = limits.max_request_rows
    return [
        _method("Predict", partial(_predict, registry, max_request_rows)),
        BidiStream(
            f"/{SERVICE}/PredictStream",
            "kan_api",
            partial(_predict_stream, registry, max_request_rows),
            _stream_failure,
        ),
        _method("Explain", partial(_explain, registry, max_request_rows)),
        _method("ListModels", partial(_list_models, registry)),
        _method("GetModel", partial(_get_model, registry, limits)),
    ]


def _method(name: str, answer: Callable[[RequestContext, bytes], Awaitable[bytes]]) -> Method:
    return Unary(f"/{SERVICE}/{name}", "kan_api", answer)


async def _predict(registry: Registry, max_request_rows: int, call: RequestContext, request: bytes) -> bytes:
    """Predict: rows in, one answer a row out."""
    return (await _answer(registry, max_request_rows, call, request)).SerializeToString()


async def _predict_stream(registry: Registry, max_request_rows: int, call: RequestContext, request: bytes) -> bytes:
    """PredictStream: one request of a stream."""
    prediction = await _answer(registry, max_request_rows, call, request)
    return pb.PredictStreamResponse(id=prediction.id, prediction=prediction).SerializeToString()


def _stream_failure(request: bytes, error: RpcError) -> bytes:
    """What a stream gives where a request failed."""
    pause = error.retry_after_seconds
    failure = pb.Failure(code=error.code, message=error.message)
    if pause is not None:
        failure.retry_after_seconds = max(1e-3, pause)  # as in the trailer, where it is at least a millisecond
    response = pb.PredictStreamResponse(failure=failure)
    with suppress(InvalidRequest):
        response.id = parse(pb.PredictRequest, request).id
    return response.SerializeToString()


async def _answer(
    registry: Registry, max_request_rows: int, call: RequestContext, request: bytes
) -> pb.PredictResponse:
    """Run the rows of a request."""
    message = parse(pb.PredictRequest, request)
    with await registry.lease_or_wait(
        read_name(message.model, "model"), _read_version(message.version), call.deadline, call.caller
    ) as model:
        call.model, call.version, call.inference = model.name, str(model.version), True
        bulk = _is_bulk(message.priority)
        features = message.features
        rows = decode_matrix(features, model, max_request_rows)
        call.rows = len(rows)
        if call.caller.token is not None:
            call.caller.take_rows(len(rows))
        looks = message.report_ground or model.ground.flags or model.ground.refuses
        ground = await look_at("features", rows, model, asked=message.report_ground) if looks else None
        result = await model.submit(rows, call.deadline, bulk=bulk, follower=call.trace)
        call.queue_seconds, call.compute_seconds = result.queue_seconds, result.compute_seconds
        response = pb.PredictResponse(
            id=message.id,
            model=model.name,
            version=model.version,
            queue_seconds=result.queue_seconds,
            compute_seconds=result.compute_seconds,
        )
        raw = not features.values
        for name, values in zip(model.tensors.graph_names, result.outputs, strict=True):
            output = response.outputs.add()
            output.name = name
            encode_matrix(output.values, values, raw=raw)
        if ground is not None:
            response.ground.CopyFrom(ground)
        return response


async def _explain(registry: Registry, max_request_rows: int, call: RequestContext, request: bytes) -> bytes:
    """Explain: rows in, the contributions of the columns to each answer out."""
    message = parse(pb.ExplainRequest, request)
    with await registry.lease_or_wait(
        read_name(message.model, "model"), _read_version(message.version), call.deadline, call.caller
    ) as model:
        call.model, call.version = model.name, str(model.version)
        bulk = _is_bulk(message.priority)
        rows = decode_matrix(message.features, model, max_request_rows)
        call.rows = len(rows)
        if call.caller.token is not None:
            call.caller.take_rows(len(rows))
        reference = None
        if message.HasField("reference"):
            reference = decode_matrix(message.reference, model, max_request_rows, "reference")
        ground = await look_at("features", rows, model, asked=True)
        if reference is not None:
            await look_at("reference", reference, model, asked=False)
        result = await explain(model, rows, reference, call.deadline, bulk=bulk, follower=call.trace)
        response = pb.ExplainResponse(id=message.id, model=model.name, version=model.version, ground=ground)
        encode = partial(encode_explanation, response, result, model, raw=not message.features.values)
        if result.contributions.size <= INLINE_NUMBERS:
            return encode()
        return await asyncio.to_thread(encode)


async def _list_models(registry: Registry, call: RequestContext, request: bytes) -> bytes:
    """ListModels: every version that the caller may use, ready or not."""
    parse(pb.ListModelsRequest, request)
    response = pb.ListModelsResponse()
    async for status in paced(call.caller.visible(registry.statuses())):
        model = response.models.add(
            name=status.name,
            version=status.version,
            state=_STATES[status.state],
            reason=shorten(status.reason),
            latest=status.latest,
        )
        if status.manifest is not None:
            model.task = status.manifest.task
            model.feature_count = len(status.manifest.features)
    return response.SerializeToString()


async def _get_model(registry: Registry, limits: pb.Limits, call: RequestContext, request: bytes) -> bytes:
    """GetModel: the manifest of a version that is ready, and what the server takes at once."""
    message = parse(pb.GetModelRequest, request)
    with await registry.lease_or_wait(
        read_name(message.model, "model"), _read_version(message.version), call.deadline, call.caller
    ) as model:
        call.model, call.version = model.name, str(model.version)
        own = pb.Limits(
            max_request_rows=model.limits.request_rows,
            max_message_bytes=limits.max_message_bytes,
            shared_request_rows=model.limits.shared_request_rows,
        )
        return _describe(model.manifest, model.ground.word, own).SerializeToString()


def _describe(manifest: ModelManifest, unknown_ground: str, limits: pb.Limits) -> pb.GetModelResponse:
    """The answer of GetModel, without what is dispensable where it would be longer than callers take."""
    response = pb.GetModelResponse(manifest=manifest, limits=limits)
    response.manifest.unknown_ground = unknown_ground
    most_bytes = min(_MOST_MANIFEST_BYTES, limits.max_message_bytes) - _ENVELOPE_BYTES
    size = response.manifest.ByteSize()
    for name in _DISPENSABLE:
        if size <= most_bytes:
            return response
        response.manifest.ClearField(name)
        before, size = size, response.manifest.ByteSize()
        if size < before:
            response.left_out.append(name)
    if size > most_bytes:
        response.left_out.append("features.histogram")
        for feature in response.manifest.features:
            feature.ClearField("histogram")
    return response


def _read_version(version: int) -> int | None:
    """The version that a request names; None for the latest."""
    if version < 0:
        raise InvalidRequest(f"version is {version}; wanted 1 or more, or 0 for the latest")
    return version or None


def _is_bulk(priority: int) -> bool:
    """Whether others go first; protobuf lets through numbers that the enum does not have."""
    if priority not in (pb.PRIORITY_UNSPECIFIED, pb.PRIORITY_BULK):
        raise InvalidRequest(f"priority is {priority}; wanted 0 (interactive) or {pb.PRIORITY_BULK} (PRIORITY_BULK)")
    return priority == pb.PRIORITY_BULK
