"""Holds a graph against the network in float64, wherever a client's rows may lie.

`regions` makes the rows, `reference` compares, `scale` says what an error is relative to, and `rounding` bounds what
float32 alone may change. Example: 1e6 + 1e-3 is 1e6 in float32, so no graph can tell these two inputs apart.
"""
