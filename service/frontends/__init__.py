"""The two ways in: `grpcio`, a server of its own, and `envoy` with the `asgi` application inside it.

A front end turns what comes over the wire into a call and bytes, and nothing else. Both pass tests/service/conformance.
"""
