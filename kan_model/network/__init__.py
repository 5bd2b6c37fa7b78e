"""The network itself: layers of learnable edges, the transforms of its inputs and outputs, and its file.

A layer maps x [rows, inputs] to y [rows, outputs] by y_j = Σ_i φ_ji(x_i). Each edge is one of

    φ(x) = w_b · silu(x) + spline(x)        learned
    φ(x) = c · f(a·x + b) + d               symbolic: a function from the library
    φ(x) = 0                                pruned

A network of width [2, 5, 1] has a layer of 2 · 5 edges and one of 5 · 1. Example: two edges log(x_1) and log(x_2) into
one node, and an edge exp from that node to the output, compute exp(log x_1 + log x_2) = x_1 · x_2.

Source: arXiv 2404.19756.
"""

from typing import Any

from kan_model.moved import old_attribute


def __getattr__(name: str) -> Any:
    return old_attribute(__name__, name, "kan_model.network.network")
