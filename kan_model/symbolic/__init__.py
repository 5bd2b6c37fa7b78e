"""From splines to formulas: replace an edge by c · f(a·x + b) + d with f from a library of functions.

For samples (x, y) of an edge, `search` and `polish` find a and b; c and d follow by linear least squares. The measure
of a fit is R² = 1 − Σ (y − ŷ)² / Σ (y − ȳ)². Example: samples of 3·sin(2x) + 1 give f = sin, a = 2, b = 0, c = 3,
d = 1 and R² = 1. `choice` puts the best function into the network; `constants` then trains all constants together.
"""

from typing import Any

from kan_model.moved import old_attribute


def __getattr__(name: str) -> Any:
    return old_attribute(__name__, name, "kan_model.network.symbolic_edge")
