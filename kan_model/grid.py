"""Change the grids of a KAN without changing what it computes."""

import torch
from torch import Tensor

from kan_model.bspline import basis, check_grid, fit_coefficients, insertion_matrix, uniform_knots
from kan_model.layer import KANLayer
from kan_model.network import KAN


def refine_grid(kan: KAN, grid_size: int) -> KAN:
    """The same function on finer grids.

    A multiple of the present grid size is reached by knot insertion: exact, without data, for every input
    under ``clamp`` and inside the domain under ``decay`` (whose tails shorten with the intervals). Any other
    grid size is a least-squares fit inside the domain, as the paper's grid extension.

    Args:
        kan: The network; it is left as it is.
        grid_size: Intervals of every spline of the new network.

    Raises:
        ValueError: grid_size is smaller than the grid of some layer, or so large that knots meet.
    """
    return KAN.of_layers([_refine_layer(layer, grid_size, index) for index, layer in enumerate(kan.layers)])


def replace_knots(layer: KANLayer, knots: Tensor) -> KANLayer:
    """The layer on other knots, its edges fitted again in least squares where both domains overlap.

    Args:
        layer: The layer; it is left as it is.
        knots: ``[inputs, new grid_size + 2·degree + 1]``, strictly increasing, uniform or not.

    Raises:
        ValueError: knots that no spline can stand on, or whose domain has nothing in common with the old one.
    """
    knots = knots.to(layer.domain)
    _check_replacement(layer, knots)
    old, new = layer.all_knots().double(), knots.double()
    change = _projection(old, new, layer.degree)
    return _on_grid(layer, change, knots=knots)


def _check_replacement(layer: KANLayer, knots: Tensor) -> None:
    check_grid(knots, layer.degree)
    if len(knots) != layer.inputs:
        raise ValueError(f"knots for {len(knots)} features; wanted {layer.inputs}")
    domain = knots[:, [layer.degree, -layer.degree - 1]]
    apart = torch.maximum(domain[:, 0], layer.domain[:, 0]) >= torch.minimum(domain[:, 1], layer.domain[:, 1])
    if apart.any():
        feature = int(apart.nonzero()[0])
        raise ValueError(
            f"knots of feature {feature} have the domain {domain[feature].tolist()}; "
            f"wanted one that overlaps the present {layer.domain[feature].tolist()}"
        )


def _refine_layer(layer: KANLayer, grid_size: int, index: int) -> KANLayer:
    if grid_size < layer.grid_size:
        raise ValueError(
            f"grid_size is {grid_size}, layer {index} has {layer.grid_size} already; wanted as many or more"
        )
    change = insertion_matrix if grid_size % layer.grid_size == 0 else _projection
    if layer.knots is None:
        # In units of the domain every uniform grid is the same grid: one matrix serves all inputs.
        unit = torch.tensor([[0.0, 1.0]], dtype=torch.float64, device=layer.domain.device)
        old, new = (uniform_knots(unit, size, layer.degree) for size in (layer.grid_size, grid_size))
        return _on_grid(layer, change(old, new, layer.degree), domain=layer.domain)
    old = layer.knots.double()
    # Knots are compared as they will be stored, so that rounding cannot part a knot from itself.
    new = _subdivide(old, layer.grid_size, grid_size, layer.degree).to(layer.knots.dtype).double()
    check_grid(new, layer.degree)
    return _on_grid(layer, change(old, new, layer.degree), knots=new.to(layer.knots.dtype))


def _subdivide(knots: Tensor, old_size: int, new_size: int, degree: int) -> Tensor:
    """Knots for ``new_size`` intervals that keep the old spacing; beyond the ends the last interval repeats."""
    inner = knots[:, degree : degree + old_size + 1]
    position = torch.arange(new_size + 1, dtype=knots.dtype, device=knots.device) * old_size / new_size
    cell = position.floor().long().clamp(max=old_size - 1)
    share = position - cell
    inner = inner[:, cell] * (1 - share) + inner[:, cell + 1] * share
    steps = torch.arange(1, degree + 1, dtype=knots.dtype, device=knots.device)
    before = inner[:, :1] - steps.flip(0) * (inner[:, 1:2] - inner[:, :1])
    after = inner[:, -1:] + steps * (inner[:, -1:] - inner[:, -2:-1])
    return torch.cat([before, inner, after], dim=1)


def _projection(old: Tensor, new: Tensor, degree: int) -> Tensor:
    """``[inputs, new coefficients, old coefficients]``: least squares on points inside both domains."""
    low = torch.maximum(old[:, degree], new[:, degree])
    high = torch.minimum(old[:, -degree - 1], new[:, -degree - 1])
    count = 4 * (degree + 1) * max(old.shape[1], new.shape[1])
    share = torch.linspace(0, 1, count, dtype=old.dtype, device=old.device).unsqueeze(1)
    points = torch.clamp(low + (high - low) * share, low, high)
    return fit_coefficients(points, basis(points, old, degree), new, degree).transpose(1, 2)


def _on_grid(layer: KANLayer, change: Tensor, *, domain: Tensor | None = None, knots: Tensor | None = None) -> KANLayer:
    """A copy of the layer whose coefficients went through ``change`` ([inputs or 1, new, old])."""
    change = change.expand(layer.inputs, -1, -1)
    coefficients = torch.einsum("inb,oib->oin", change, layer.coefficients.detach().double())
    return layer.changed(coefficients=coefficients.to(layer.coefficients.dtype), domain=domain, knots=knots)
