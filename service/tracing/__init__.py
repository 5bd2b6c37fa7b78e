"""Traces: where the time of a sampled call went, sent to an OpenTelemetry receiver.

A request takes about 100 µs of a processor, and spans made by an SDK take as much again. So the head decides: nothing
is kept of a call that is not sampled. Of a sampled call its times are kept; a thread turns them into spans later:

    head      obeys the caller's traceparent; without one it draws a share of the calls
    trace     the times of one call: a follower of its rows through the batcher
    exporter  a thread: traces in, OTLP messages out; a bounded queue, so that no request ever waits
    spans     a trace as spans: the call with decode, queue, compute and encode; a trace of its own for each batch

Example: 1 % of 2,000 calls a second are 20 traces; every 5 seconds two messages with about 600 spans are sent.
Only `exporter` and `spans` need the extra [otel]. Source: W3C Trace Context; OpenTelemetry's conventions for RPC spans.
"""
