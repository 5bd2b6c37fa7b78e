"""The methods that a server offers, as its reflection tells them."""

from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2 as pb

REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


def offered_methods(address: str, metadata: Any = None) -> list[str]:
    """The full paths of all methods of all services, from the descriptors of their files; reflection's own too."""
    with grpc.insecure_channel(address) as channel:
        return methods_of(channel, metadata)


def methods_of(channel: grpc.Channel, metadata: Any = None) -> list[str]:
    """As :func:`offered_methods`, over a connection of any kind."""
    reflection: Any = channel.stream_stream(
        REFLECTION,
        request_serializer=pb.ServerReflectionRequest.SerializeToString,
        response_deserializer=pb.ServerReflectionResponse.FromString,
    )

    def ask(question: pb.ServerReflectionRequest) -> Any:
        (answer,) = reflection(iter([question]), timeout=60, metadata=metadata)
        assert not answer.HasField("error_response"), answer
        return answer

    found = []
    for service in ask(pb.ServerReflectionRequest(list_services="")).list_services_response.service:
        package, _, name = service.name.rpartition(".")
        answer = ask(pb.ServerReflectionRequest(file_containing_symbol=service.name))
        files = map(FileDescriptorProto.FromString, answer.file_descriptor_response.file_descriptor_proto)
        found += [
            f"/{service.name}/{method.name}"
            for file in files
            if file.package == package
            for each in file.service
            if each.name == name
            for method in each.method
        ]
    return found


def code_of(channel: grpc.Channel, path: str, metadata: Any) -> str:
    """How a call without a valid message ends."""
    method: Any = channel.stream_stream(path)
    try:
        for _ in method(iter([b"\xff"]), timeout=60, metadata=metadata):
            pass
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"
