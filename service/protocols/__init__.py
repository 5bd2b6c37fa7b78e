"""The gRPC services: each method is a short function from bytes to bytes, and knows no transport.

`prediction` is ours (kan_api.v1), `open_inference` is the Open Inference Protocol, `triton` its extensions. `codec` and
`rows` turn messages into checked float32 rows. To add an rpc: the .proto file, a function here, a row in the table of
methods of its service; both front ends then serve it.
"""
