"""What several workers of one server cost, how evenly their load is spread, and what a kill of one costs callers.

`cost` compares the processor time of a request with two workers and with one. `shares` starts servers and counts what
each of two workers answers, with connections of its own and through compose's Envoy (`compose_envoy`). `kills` kills
workers under the load of our client. Run as ``python -m benchmarks.workers``.

Example: two workers with 64 callers each, of which one answers 40 of 100 requests: the share of the weaker is 40 %.
"""
