"""What [symbolic] by edge says of edges: how long they will take, which functions they got, and which stay splines."""

import math
from collections import Counter
from collections.abc import Sequence

import torch

from kan_model import KAN, EdgeReport
from kan_model.network.functions import FUNCTIONS
from training.steps.advice import FOR_RECIPES, Advice

# Each function follows the curve of its edge, so another seed needs another training of the whole network, which is
# as costly as the first one. In context the searches are the training, so there several seeds are counted.
OF_ONE_FIT = (
    "the form is of one fit from one seed: its stability is counted only in context; a run with another [fit] seed "
    "shows whether it is found again"
)
# Of all functions on one edge, about; docs/recipes.md tells it too.
_SECONDS_OF_AN_EDGE = 1.0
# A person hardly reads a formula of more edges.
_MOST_READABLE = 50
# A looser bound than this is not advised.
_LEAST_ADVISED_R2 = 0.8
# Splines that are named in a note.
_MOST_NAMED = 6


def foretell(edges: int, advice: Advice = FOR_RECIPES) -> str:
    """How long all functions on all edges will take, and where that is long, what to do instead."""
    seconds = edges * _SECONDS_OF_AN_EDGE
    duration = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} minutes"
    count = "1 edge" if edges == 1 else f"{edges} edges"
    text = f"symbolic: {count}, all functions on each: about {duration}"
    if edges <= _MOST_READABLE:
        return text
    return f"{text}; a formula of more than {_MOST_READABLE} edges is hardly readable, and {advice.have_fewer_edges}"


def count_functions(kan: KAN) -> str:
    """The functions of its edges, the most frequent first."""
    counts = Counter(function for layer in kan.layers for function in layer.symbolic_functions)
    return ", ".join(f"{count} {function}" for function, count in counts.most_common())


def list_limited_functions(kan: KAN) -> list[str]:
    """The functions of its edges that have no answer to some number, poles apart that no float is."""
    used = {function for layer in kan.layers for function in layer.symbolic_functions}
    return sorted(name for name in used if not FUNCTIONS[name].guard(torch.tensor([-2.0, 0.0, 2.0])).all())


def describe_splines(splines: Sequence[EdgeReport], names: Sequence[str], advice: Advice = FOR_RECIPES) -> str:
    """The first of them, with the column that the first layer reads."""
    named = ", ".join(
        f"layer {edge.layer} from {edge.input if edge.layer else names[edge.input]} to {edge.output}"
        + (f" (nearest: {edge.best.edge.function}, R² {edge.best.r2:.3f}{_loosen(edge.best.r2)})" if edge.best else "")
        for edge in splines[:_MOST_NAMED]
    )
    more = f" and {len(splines) - _MOST_NAMED} more" if len(splines) > _MOST_NAMED else ""
    bound = min(_looser_bound(edge.best.r2) if edge.best else 0.0 for edge in splines)
    remedy = f"; to take all of them: {advice.to_take_functions(bound)}" if bound >= _LEAST_ADVISED_R2 else ""
    return f"still splines: {named}{more}{remedy}"


def _loosen(r2: float) -> str:
    """What would take the nearest function, where it is near."""
    bound = _looser_bound(r2)
    return f"; min_r2 = {bound:g} would take it" if bound >= _LEAST_ADVISED_R2 else ""


def _looser_bound(r2: float) -> float:
    """A bound of two digits that a function with this R² meets."""
    return math.floor(100 * r2 - 0.1) / 100
