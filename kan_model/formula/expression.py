"""A network as formulas: one for each output, in the units of the data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import sympy
import torch
from numpy.typing import ArrayLike, NDArray

from kan_model.formula.one_scale import pull_scales
from kan_model.formula.short import round_numbers, shorten
from kan_model.formula.steps import Values, drop_rounding, line, node_expressions, node_function, number
from kan_model.formula.text import columns, to_latex, to_text
from kan_model.network.connections import Flags, active_edges, edges_from_inputs, edges_to_outputs
from kan_model.network.network import KAN
from kan_model.network.transform import Affine, Exponential, InputTransform, OutputTransform, Softmax

Step = Callable[[Values], Values]


# A smaller `near` removes only rounding errors of the float arithmetic, so no note mentions it.
_TOLD_NEAR = 1e-9


@dataclass(frozen=True)
class Formula:
    """The formulas of a network.

    Attributes:
        expressions: One per output, in ``symbols``, with the network's numbers in float64.
        shown: The same formulas for people: after the options of :func:`formula`.
        symbols: One per feature, in raw units; their names are Python identifiers.
        names: The original names of the features.
        text: ``shown`` as plain text, with the original names.
        latex: ``shown`` as LaTeX, without dollar signs; matplotlib's mathtext reads it too.
        notes: Sentences that tell what the formulas omit and how ``shown`` differs from ``expressions``.
    """

    expressions: tuple[sympy.Expr, ...]
    shown: tuple[sympy.Expr, ...]
    symbols: tuple[sympy.Symbol, ...]
    names: tuple[str, ...]
    text: tuple[str, ...]
    latex: tuple[str, ...]
    notes: tuple[str, ...]
    _steps: tuple[Step, ...] = field(repr=False, compare=False)

    def evaluate(self, rows: ArrayLike) -> Values:
        """The outputs ``[rows, outputs]`` in float64 for raw features ``[rows, features]``.

        The network's operations are done one by one, so NaN and infinities are those of IEEE 754. An expression can be
        finite where this is NaN: sympy simplifies exp(log(x)) to x, and at x = −1 the expression is −1.

        Raises:
            ValueError: rows of another shape.
        """
        values = np.asarray(rows, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.symbols):
            raise ValueError(f"rows have shape {values.shape}; wanted [rows, {len(self.symbols)}]")
        with np.errstate(all="ignore"):
            for step in self._steps:
                values = step(values)
        return values


def formula(
    kan: KAN,
    *,
    inputs: InputTransform | None = None,
    outputs: OutputTransform | None = None,
    names: Sequence[str] | None = None,
    digits: int | None = None,
    splines: Literal["refuse", "keep"] = "refuse",
    near: float = 0.0,
    simplify: bool = False,
    one_scale: bool = False,
    max_terms: int = 2000,
) -> Formula:
    """The formulas of a network whose edges are symbolic, from raw features to raw outputs.

    With a softmax behind the network the formulas are the logits. They do not contain the imputation. ``notes`` of the
    result say both. Edges that no output depends on are left out, even where they would make NaN.

    Args:
        kan: The network; it is not changed.
        inputs: The transform of the inputs; None: there is none.
        outputs: The transform of the outputs; None: there is none.
        names: Names of the features, any text; None: x_0, x_1, …
        digits: Significant digits of numbers in ``shown``, 1 to 17; None: all.
        splines: What to do with edges that are splines. "refuse" raises. "keep" writes them as undefined functions
            phi_{layer}_{output}_{input}; ``evaluate`` computes them.
        near: In ``shown``, a number this close to a whole number becomes the whole number: 0 to 0.5.
        simplify: In ``shown``, each formula takes the shortest of the forms of
            :func:`kan_model.formula.short.shorten`.
        one_scale: In ``shown``, each product has one number in front (:mod:`kan_model.formula.one_scale`).
        max_terms: The most paths from a feature to an output, over all outputs; this bounds the formulas' length.

    Returns:
        The formulas.

    Raises:
        ValueError: splines that are not kept; formulas that are too long; numbers in the network or a transform that
            are not finite; the wrong number of names; an option outside its range.
    """
    names = tuple(f"x_{index}" for index in range(kan.width[0])) if names is None else tuple(names)
    _check_options(kan, names, digits, splines, near)
    _check_numbers(kan, inputs, outputs)
    live = edges_to_outputs(active_edges(kan.layers), kan.layers)
    kept = _splines(kan, edges_from_inputs(live, kan.layers))
    if kept and splines == "refuse":
        raise ValueError(_splines_left(kept))
    _check_terms(kan, live, max_terms)
    own = columns(names)
    expressions = _expressions(kan, live, inputs, outputs, own.symbols)
    pulled = map(pull_scales, expressions) if one_scale else expressions
    short = [shorten(each, near=near, simplify=simplify) for each in pulled]
    shown = tuple(round_numbers(each, digits) for each in short)
    return Formula(
        expressions,
        shown,
        own.symbols,
        names,
        tuple(to_text(each, own) for each in shown),
        tuple(to_latex(each, own) for each in shown),
        tuple(_notes(inputs, outputs, digits=digits, kept=len(kept), near=near, simplify=simplify)),
        tuple(_steps(kan, live, inputs, outputs)),
    )


def _expressions(
    kan: KAN,
    live: list[Flags],
    inputs: InputTransform | None,
    outputs: OutputTransform | None,
    symbols: Sequence[sympy.Symbol],
) -> tuple[sympy.Expr, ...]:
    values: list[sympy.Expr] = list(symbols)
    if inputs is not None:
        values = [
            line(scale, value, -scale * center)
            for value, scale, center in zip(values, _numbers(inputs.scale), _numbers(inputs.center), strict=True)
        ]
    for index, layer in enumerate(kan.layers):
        values = node_expressions(index, layer, live[index], values)
    if isinstance(outputs, Affine | Exponential):
        values = [
            drop_rounding(line(scale, value, center), center)
            for value, scale, center in zip(values, _numbers(outputs.scale), _numbers(outputs.center), strict=True)
        ]
    return tuple(map(sympy.exp, values)) if isinstance(outputs, Exponential) else tuple(values)


def _steps(kan: KAN, live: list[Flags], inputs: InputTransform | None, outputs: OutputTransform | None) -> list[Step]:
    steps = [node_function(index, layer, live[index]) for index, layer in enumerate(kan.layers)]
    if inputs is not None:
        shift, factor = inputs.center.astype(np.float64), inputs.scale.astype(np.float64)
        steps.insert(0, lambda x: (x - shift) * factor)
    if isinstance(outputs, Affine | Exponential):
        center, scale = outputs.center.astype(np.float64), outputs.scale.astype(np.float64)
        steps.append(lambda y: y * scale + center)
    if isinstance(outputs, Exponential):
        steps.append(np.exp)
    return steps


def _notes(
    inputs: InputTransform | None,
    outputs: OutputTransform | None,
    *,
    digits: int | None,
    kept: int,
    near: float,
    simplify: bool,
) -> list[str]:
    notes = {
        "Missing values are imputed before the network; the formulas hold for rows that lack none.": inputs is not None
        and inputs.imputed is not None,
        "The formulas are logits; the class probabilities are their softmax.": isinstance(outputs, Softmax),
        f"{kept} edges are splines, written as functions phi of layer, output and input.": kept > 0,
        f"As shown, numbers within {near:g} of a whole number are that number.": near > _TOLD_NEAR,
        "As shown, each formula is in the shortest of a few forms.": simplify,
        f"As shown, numbers are rounded to {digits} significant digits.": digits is not None,
    }
    return [note for note, holds in notes.items() if holds]


def _splines(kan: KAN, varying: list[Flags]) -> list[tuple[int, int, int]]:
    """(layer, output, input) of each edge that is a spline and whose input is not a constant."""
    return [
        (index, output, input_)
        for index, layer in enumerate(kan.layers)
        for output, input_ in np.argwhere(varying[index]).tolist()
        if (output, input_) not in layer.symbolic_places
    ]


def _splines_left(kept: list[tuple[int, int, int]]) -> str:
    layer, output, input_ = kept[0]
    count = f"{len(kept)} edges are splines, the first of them" if len(kept) > 1 else "one edge is a spline:"
    return (
        f"{count} in layer {layer} from input {input_} to output {output}; wanted symbolic edges only: "
        'fit a function to each, prune it, or give splines="keep" to write it as an undefined function'
    )


def _check_terms(kan: KAN, live: list[Flags], most: int) -> None:
    ways = [1] * live[0].shape[1]
    for layer, edges in zip(kan.layers, live, strict=True):
        # Python's integers do not overflow.
        ways = [sum(way for way, there in zip(ways, row, strict=True) if there) for row in edges.tolist()]
        if layer.products is not None:
            ways = [sum(ways[sum_] for sum_ in node) for node in layer.products.factors]
    if sum(ways) > most:
        raise ValueError(
            f"the formulas would have {sum(ways)} terms; wanted {most} or fewer: prune the network or raise max_terms"
        )


def _check_options(kan: KAN, names: tuple[str, ...], digits: int | None, splines: str, near: float) -> None:
    if len(names) != kan.width[0]:
        raise ValueError(f"{len(names)} names; wanted {kan.width[0]}, one per feature")
    if odd := [name for name in names if not isinstance(name, str)]:
        raise ValueError(f"a name is {odd[0]!r}; wanted text")
    if digits is not None and not 1 <= digits <= 17:
        raise ValueError(f"digits is {digits}; wanted 1 to 17, or None")
    if splines not in ("refuse", "keep"):
        raise ValueError(f'splines is {splines!r}; wanted "refuse" or "keep"')
    if not 0 <= near <= 0.5:
        raise ValueError(f"near is {near}; wanted 0 to 0.5")


def _check_numbers(kan: KAN, inputs: InputTransform | None, outputs: OutputTransform | None) -> None:
    for name, tensor in kan.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} of the network has numbers that are not finite; wanted finite ones only")
    affine = None if isinstance(outputs, Softmax) else outputs
    for what, transform, width in (("inputs", inputs, kan.width[0]), ("outputs", affine, kan.width[-1])):
        if transform is None:
            continue
        for name, values in (("center", transform.center), ("scale", transform.scale)):
            if values.shape != (width,):
                raise ValueError(f"{name} of {what} has shape {values.shape}; wanted {(width,)}")
            if not np.isfinite(values).all():
                raise ValueError(f"{name} of {what} is {values.tolist()}; wanted finite numbers")


def _numbers(values: NDArray[np.float32]) -> list[sympy.Expr]:
    return [number(value) for value in values.tolist()]
