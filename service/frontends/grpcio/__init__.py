"""The methods on a grpc.aio server."""
