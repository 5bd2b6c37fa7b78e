"""Compare a graph with the network in float64, on all kinds of rows that a client can send.

`regions` makes the rows, `reference` compares, `scale` gives the divisor of errors, and `rounding` computes the error
that float32 alone can cause. Example: 1e6 + 1e-3 is 1e6 in float32, so every graph gives both inputs the same answer.
"""
