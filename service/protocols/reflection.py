"""Server reflection: which services there are, and their files. Source: grpc.reflection.v1alpha."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from google.protobuf.message import Message
from grpc_reflection.v1alpha import reflection_pb2 as pb

from service.rpc.calls import BidiStream, Method, RequestContext, parse
from service.rpc.status import RpcError

SERVICE = pb.DESCRIPTOR.services_by_name["ServerReflection"].full_name

_NO_CONTEXT: Any = None  # the servicer does not look at it


def methods(services: Iterable[str]) -> list[Method]:
    """The service's one method.

    Args:
        services: Full names of the services beside this one.
    """

    @cache
    def servicer() -> Any:
        # At the first question: it loads gRPC, 10 MB that a server inside Envoy does without.
        from grpc_reflection.v1alpha.reflection import ReflectionServicer

        return ReflectionServicer({*services, SERVICE})

    async def answer(_call: RequestContext, request: bytes) -> bytes:
        # One request at a time: its answers are ready at once, so that they go out in order.
        questions = iter([parse(pb.ServerReflectionRequest, request)])
        answered: Message = next(servicer().ServerReflectionInfo(questions, _NO_CONTEXT))
        return answered.SerializeToString()

    return [BidiStream(f"/{SERVICE}/ServerReflectionInfo", "reflection", answer, _failure)]


def _failure(_request: bytes, error: RpcError) -> bytes:
    """What the stream gives where a request failed."""
    return pb.ServerReflectionResponse(
        error_response=pb.ErrorResponse(error_code=error.code, error_message=error.message)
    ).SerializeToString()
