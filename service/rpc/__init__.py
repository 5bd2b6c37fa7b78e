"""What a call is without a transport: a method, bytes in, bytes out, a status.

`calls` runs one and counts it, `streams` runs a stream of them, `status` maps our errors to gRPC's codes, `admission`
and `memory` bound how much all calls hold together.
"""
