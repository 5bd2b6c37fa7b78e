"""The methods as an ASGI application: gRPC's frames, compression and trailers over HTTP/2."""
