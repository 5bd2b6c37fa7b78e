"""The gRPC services: each method is a short function from bytes to bytes, and knows no transport.

`prediction` is ours (kan_api.v1), `open_inference` is the Open Inference Protocol, `triton` its extensions. Each of the
two has a codec that turns its messages into float32 rows; `rows` has the checks that both share. To add an rpc: the
.proto file, a function here, a row in the table of methods of its service; both front ends then serve it.
"""
