"""Train only the constants of symbolic edges and the biases."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from kan_model.analysis.edge_values import first_flaw
from kan_model.network.checks import check_rows
from kan_model.network.network import KAN
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.rows.blocks import answers
from kan_model.symbolic.invariance import invariance_of

# 1 for c and d, which are outside the function, 0 for a and b.
_OUTSIDE = torch.tensor([0.0, 0.0, 1.0, 1.0])
_PROBES = 8
_FARTHEST = 1e3


def fit_constants(kan: KAN, rows: Tensor, targets: Tensor, *, steps: int = 200) -> KAN:
    """Fit the symbolic constants and biases to targets, by least mean squared error; splines stay unchanged.

    The optimiser is full-batch LBFGS in float64. Each constant is scaled so that a unit step changes the outputs by
    about 1, whatever the units of x. Where the network gives NaN, the line search turns back. The result has the best
    constants found; without an improvement it is the given network.

    Args:
        kan: The network; it is not changed.
        rows: ``[rows, inputs]``, imputed and scaled.
        targets: ``[rows, outputs]``, in the units of the network's outputs.
        steps: LBFGS iterations, 1 or more.

    Returns:
        The network with the fitted constants.

    Raises:
        ValueError: shapes that do not fit; NaN or infinite numbers; a network without symbolic edges and biases; a
            network that is not finite on the rows.
    """
    x, y = _check_samples(kan, rows, targets, steps)
    start = {name: value.detach().double() for name, value in _constants(kan).items()}
    frozen = {name: value.detach().double() for name, value in kan.state_dict().items() if value.is_floating_point()}
    if not start:
        raise ValueError("the network has no symbolic edge and no bias; wanted at least one constant to fit")
    spread = _spread(y)

    def loss_of(constants: dict[str, Tensor]) -> Tensor:
        outputs: Tensor = functional_call(kan, frozen | constants, (x,))
        return ((outputs - y) / spread).square().mean()

    at_start = float(loss_of(start).detach())
    if not at_start < torch.inf:
        flaw = first_flaw(copy.deepcopy(kan).double(), x) or "the squared error is too large for float64"
        raise ValueError(f"the network has no finite error on these rows: {flaw}")
    scale = _scales(lambda constants: functional_call(kan, frozen | constants, (x,)) / spread, start)
    scale = {name: value * _fitted_mask(kan, name).to(value) for name, value in scale.items()}
    found = _descend(loss_of, start, scale, at_start, steps)
    if found.left_domain:
        # If a row is at the end of a domain, such as 0 for sqrt, almost every step along all constants leaves the
        # domain and gives NaN. Steps along c, d and the biases cannot: they are outside the functions. So a descent
        # along these comes first, then one along all.
        outside = {name: value * _OUTSIDE.to(value) if value.ndim == 2 else value for name, value in scale.items()}
        found = _descend(loss_of, found.constants, outside, found.loss, steps)
        found = _descend(loss_of, found.constants, scale, found.loss, steps)
    fitted = _set_constants(kan, found.constants)
    same = _set_constants(kan, start)
    # Constants at the end of a function's domain may be outside of it after rounding to the network's type, so the
    # rounded networks are compared.
    return fitted if _error(fitted, x, y) < _error(same, x, y) else same


@dataclass(frozen=True)
class _Descent:
    """The best constants of a descent, their loss, and whether a step gave NaN or an infinity."""

    constants: dict[str, Tensor]
    loss: float
    left_domain: bool


def _descend(
    loss_of: Callable[[dict[str, Tensor]], Tensor],
    start: dict[str, Tensor],
    scale: dict[str, Tensor],
    at_start: float,
    steps: int,
) -> _Descent:
    """Run LBFGS from ``start`` with steps in units of ``scale``; a constant with the unit 0 is fixed."""
    moves = {name: torch.zeros_like(value, requires_grad=True) for name, value in start.items()}
    best, met_wall = (at_start, start), False
    optimizer = torch.optim.LBFGS(
        list(moves.values()),
        max_iter=steps,
        max_eval=4 * steps,
        history_size=50,
        tolerance_grad=1e-15,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> float:
        nonlocal best, met_wall
        optimizer.zero_grad()
        constants = {name: start[name] + scale[name] * moves[name] for name in start}
        loss = loss_of(constants)
        loss.backward()  # type: ignore[no-untyped-call]
        value = float(loss.detach())
        if not value < torch.inf or not all(torch.isfinite(move.grad).all() for move in moves.values()):  # type: ignore[arg-type]
            met_wall = True
            # A loss so high that the line search rejects the step; with NaN its next steps would be NaN too.
            for move in moves.values():
                move.grad = torch.zeros_like(move)
            return 1e6 * (1 + at_start)
        if value < best[0]:
            best = value, {name: constant.detach().clone() for name, constant in constants.items()}
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return _Descent(best[1], best[0], met_wall)


def _constants(kan: KAN) -> dict[str, Tensor]:
    return {
        f"layers.{index}.{name}": value
        for index, layer in enumerate(kan.layers)
        for name, value in (("symbolic_affine", layer.symbolic_affine), ("bias", layer.bias))
        if value is not None
    }


def _fitted_mask(kan: KAN, name: str) -> Tensor:
    """1 for constants that are fitted, 0 for redundant ones. For example `a` in c·(a·x)² is redundant: c absorbs it."""
    _, index, kind = name.split(".")
    if kind == "bias":
        return torch.ones(())
    found = [invariance_of(function) for function in kan.layers[int(index)].symbolic_functions]
    return torch.tensor([[not each.scale, not each.shift, True, True] for each in found], dtype=torch.float64)


def _spread(y: Tensor) -> Tensor:
    """The standard deviation over all outputs; 1 if no output varies."""
    deviation = (y - y.mean(dim=0)).square().mean().sqrt()
    return torch.where(deviation > 0, deviation, 1)


def _scales(outputs_of: Callable[[dict[str, Tensor]], Tensor], start: dict[str, Tensor]) -> dict[str, Tensor]:
    """The step of each constant that changes the outputs by about 1: 1 / the root mean square of their slopes.

    The mean square is estimated from 8 sums of all outputs with random signs: the expected square of the slope of such
    a sum is the sum of the squared slopes (Hutchinson).
    """
    constants = {name: value.clone().requires_grad_() for name, value in start.items()}
    outputs = outputs_of(constants)
    generator = torch.Generator().manual_seed(0)
    squares = {name: torch.zeros_like(value) for name, value in start.items()}
    for _ in range(_PROBES):
        signs = (torch.randint(0, 2, outputs.shape, generator=generator) * 2 - 1).to(outputs)
        slopes = torch.autograd.grad((outputs * signs).sum(), list(constants.values()), retain_graph=True)
        for name, slope in zip(constants, slopes, strict=True):
            squares[name] += slope.square() / (_PROBES * outputs.numel())
    # The limit keeps a constant without effect now, such as `a` of an edge with c = 0: it may have one a step later.
    return {
        name: torch.minimum(torch.nan_to_num(square.rsqrt(), nan=1.0, posinf=1.0), _FARTHEST * (start[name].abs() + 1))
        for name, square in squares.items()
    }


def _set_constants(kan: KAN, constants: dict[str, Tensor]) -> KAN:
    layers = []
    for index, layer in enumerate(kan.layers):
        parts: dict[str, Any] = {}
        bias = constants.get(f"layers.{index}.bias")
        if bias is not None:
            parts["bias"] = bias.to(layer.base_weight)
        affine = constants.get(f"layers.{index}.symbolic_affine")
        if affine is not None:
            edges = zip(layer.symbolic_places, layer.symbolic_functions, affine.tolist(), strict=True)
            parts["symbolic"] = [SymbolicEdge(*place, function, *numbers) for place, function, numbers in edges]
        layers.append(layer.changed(**parts))
    return kan.with_layers(layers)


def _error(kan: KAN, x: Tensor, y: Tensor) -> float:
    """Mean squared error of the network in its own float type; infinity instead of NaN."""
    error = float((answers(kan, x.to(kan.dtype)).double() - y).square().mean())
    return error if error < torch.inf else torch.inf


def _check_samples(kan: KAN, rows: Tensor, targets: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Rows and targets in float64 on the network's device, if they and ``steps`` are valid."""
    check_rows(kan, rows)
    if targets.shape != (len(rows), kan.width[-1]):
        raise ValueError(f"targets have shape {tuple(targets.shape)}; wanted {[len(rows), kan.width[-1]]}")
    if not torch.isfinite(targets).all():
        row, column = (~torch.isfinite(targets)).nonzero()[0].tolist()
        raise ValueError(f"targets have {float(targets[row, column])} in row {row}, column {column}; wanted numbers")
    if steps < 1:
        raise ValueError(f"steps is {steps}; wanted 1 or more")
    device = kan.layers[0].base_weight.device
    return rows.detach().double().to(device), targets.detach().double().to(device)
