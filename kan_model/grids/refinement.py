"""Change the grids of a KAN without changing what it computes."""

import numpy as np
import torch
from torch import Tensor

from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN
from kan_model.splines.bspline import basis, check_grid, fit_coefficients, insertion_matrix, uniform_knots
from kan_model.splines.rising import nearest_directed

# Gauss–Legendre points between two neighbouring knots: 8 integrate polynomials of degree 15 exactly, so products of
# two splines of any degree up to 5.
_POINTS_PER_PIECE = 8


def refine_grid(kan: KAN, grid_size: int) -> KAN:
    """The same function on finer grids.

    If the finer grid holds every knot of the coarser one, this is knot insertion. It is exact and needs no data: under
    ``clamp`` for every input, under ``decay`` inside the domain (outside, tails get shorter with the intervals). It
    applies to

    - a uniform grid, if the new size is a multiple of the old one: 5 -> 10;
    - a grid that is not uniform, such as an adapted one, for any size. Each interval is cut into equal pieces, and
      intervals get equally many pieces, give or take one. 10 -> 15 halves every other interval.

    A uniform grid stays uniform for any other size, such as 5 -> 8. The splines are then fitted by least squares, as in
    the paper's grid extension. The error is at most a small multiple of the best spline's error on the new grid.

    Edges with a direction keep it: where a least-squares fit swings, the nearest coefficients without swings are taken.

    Args:
        kan: The network; it is not changed.
        grid_size: Number of intervals of every new spline.

    Returns:
        The network on the finer grids.

    Raises:
        ValueError: grid_size is smaller than the grid of some layer, or so large that knots coincide.
    """
    return kan.with_layers([_refine_layer(layer, grid_size, index) for index, layer in enumerate(kan.layers)])


def replace_knots(layer: KANLayer, knots: Tensor) -> KANLayer:
    """The layer on other knots. Its edges are fitted again by least squares where both domains overlap.

    If a feature's new grid has the old domain and holds every old knot, its edges stay exactly the same there.

    Args:
        layer: The layer; it is not changed.
        knots: ``[inputs, new grid_size + 2·degree + 1]``, strictly increasing, uniform or not.

    Raises:
        ValueError: knots that make no spline, or a new domain that does not overlap the old one.
    """
    knots = knots.to(layer.domain)
    _check_replacement(layer, knots)
    old, new = layer.all_knots().double(), knots.double()
    change = _projection(old, new, layer.degree)
    return _change_grid(layer, change, knots=knots)


def insert_knots(layer: KANLayer, breaks: Tensor) -> KANLayer:
    """The layer on finer grids that hold every knot of its own: the same function, as :func:`refine_grid` says.

    Args:
        layer: The layer; it is not changed.
        breaks: ``[inputs, new grid_size + 1]``, the new knots from one end of the domain to the other, float64. They
            hold all present ones, up to rounding.

    Raises:
        ValueError: knots that coincide in the layer's type.
    """
    # Knots are rounded as they will be stored, so that the coefficients are those for the stored knots.
    new = _with_outer_knots(breaks, layer.degree).to(layer.domain.dtype).double()
    check_grid(new, layer.degree)
    change = insertion_matrix(layer.all_knots().double(), new, layer.degree)
    return _change_grid(layer, change, knots=new.to(layer.domain.dtype))


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
    if grid_size == layer.grid_size:
        return layer.changed()
    if layer.knots is None:
        # In units of the domain all uniform grids are the same, so one matrix serves all inputs.
        unit = torch.tensor([[0.0, 1.0]], dtype=torch.float64, device=layer.domain.device)
        old, new = (uniform_knots(unit, size, layer.degree) for size in (layer.grid_size, grid_size))
        method = _projection if grid_size % layer.grid_size else insertion_matrix
        return _change_grid(layer, method(old, new, layer.degree), domain=layer.domain)
    return insert_knots(layer, subdivide(layer, grid_size))


def subdivide(layer: KANLayer, new_size: int) -> Tensor:
    """The knots inside the domain, with new ones between them: ``[inputs, new_size + 1]``, float64."""
    old_size = layer.grid_size
    knots = layer.all_knots().double()
    inner = knots[:, layer.degree : layer.degree + old_size + 1]
    # Old interval i ends where new interval number (i + 1)·new_size // old_size ends, so each gets at least one piece.
    ends = torch.arange(old_size + 1, device=knots.device) * new_size // old_size
    pieces = ends.diff()
    cell = torch.repeat_interleave(pieces)
    share = (torch.arange(new_size, device=knots.device) - ends[cell]).to(knots) / pieces[cell]
    starts = inner[:, cell] + share * (inner[:, cell + 1] - inner[:, cell])
    return torch.cat([starts, inner[:, -1:]], dim=1)


def _with_outer_knots(breaks: Tensor, degree: int) -> Tensor:
    """The knots from end to end, and ``degree`` more beyond each end, where its last interval repeats."""
    steps = torch.arange(1, degree + 1, dtype=breaks.dtype, device=breaks.device)
    before = breaks[:, :1] - steps.flip(0) * (breaks[:, 1:2] - breaks[:, :1])
    after = breaks[:, -1:] + steps * (breaks[:, -1:] - breaks[:, -2:-1])
    return torch.cat([before, breaks, after], dim=1)


def _projection(old: Tensor, new: Tensor, degree: int) -> Tensor:
    """``[inputs, new coefficients, old coefficients]``: least squares where both domains overlap.

    Every new interval has the same weight, however narrow it is. In this norm B-splines are well conditioned on any
    knots (de Boor), so the fit is also near the best one in the largest error. The points are Gauss–Legendre points
    between neighbouring knots, old or new: there both functions are polynomials, so the sums are exact integrals.
    """
    old_breaks, new_breaks = (knots[:, degree:-degree].contiguous() for knots in (old, new))
    low = torch.maximum(old_breaks[:, :1], new_breaks[:, :1])
    high = torch.minimum(old_breaks[:, -1:], new_breaks[:, -1:])
    # Knots beyond the common domain become pieces of length 0, which have the weight 0.
    breaks = torch.cat([old_breaks, new_breaks], dim=1).clamp(low, high).sort(dim=1).values
    starts, lengths = breaks[:, :-1], breaks.diff(dim=1)
    interval = torch.searchsorted(new_breaks, starts + lengths / 2, right=True).clamp(1, new_breaks.shape[1] - 1) - 1
    importance = lengths / new_breaks.diff(dim=1).gather(1, interval)
    places, weights = (torch.from_numpy(each).to(old) for each in np.polynomial.legendre.leggauss(_POINTS_PER_PIECE))
    points = (starts.unsqueeze(2) + lengths.unsqueeze(2) * (places + 1) / 2).flatten(1).T
    weights = (importance.unsqueeze(2) * weights / 2).flatten(1).T
    return fit_coefficients(points, basis(points, old, degree), new, degree, weights).transpose(1, 2)


def _change_grid(
    layer: KANLayer, change: Tensor, *, domain: Tensor | None = None, knots: Tensor | None = None
) -> KANLayer:
    """A copy of the layer on another grid, its coefficients multiplied by ``change`` ([inputs or 1, new, old])."""
    change = change.expand(layer.inputs, -1, -1)
    coefficients = torch.einsum("inb,oib->oin", change, layer.coefficients.detach().double())
    # Knot insertion keeps the order of coefficients up to rounding; a least-squares fit may swing.
    coefficients = nearest_directed(coefficients, layer.directions)
    return layer.changed(coefficients=coefficients.to(layer.coefficients.dtype), domain=domain, knots=knots)
