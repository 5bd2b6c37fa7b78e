"""Move the grids of a KAN to the data of each layer, without changing the network's answers to them."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kan_model.grids.breaks import layer_breaks
from kan_model.network.checks import check_rows
from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN
from kan_model.splines.rising import nearest_directed

# Values of basis functions per chunk of rows. Chunks that fit into the CPU's cache take two thirds of the time.
_CHUNK_VALUES = 2**16
_POINTS_PER_INTERVAL = 8
_STRENGTHS = (*(2.0**-halvings for halvings in range(8)), 0.0)
_SMALLEST = 1e-30
# Where the rows' density is below this share of an even density, the new spline follows the old curve, not the rows.
_THINNEST = 0.03


@dataclass(frozen=True)
class Adaptation:
    """A network on new grids, and how much its answers to the rows changed.

    Attributes:
        kan: The network on its new grids.
        moved: For each output the largest change, as a share of the output's range on the rows. For a constant output:
            as a share of its value.
        moved_by_layer: For each layer the largest such change of its nodes, where old and new layer read the same
            values, those of the old network.
        strength: For each layer how far its grids moved, from 0 (the old grid) to 1 (the grid that follows the data):
            a power of 1/2, or 0.
    """

    kan: KAN
    moved: tuple[float, ...]
    moved_by_layer: tuple[float, ...]
    strength: tuple[float, ...]


def adapt_grid(
    kan: KAN,
    rows: Tensor,
    *,
    grid_size: int | None = None,
    uniform_share: float = 0.2,
    margin: float = 0.01,
    max_moved: float = 0.01,
) -> Adaptation:
    """The same function on these rows, with domains and knots that follow the data in every layer.

    The knots of a feature are quantiles of a mixture of two distributions: the data, and a uniform one over the new
    domain. Then each spline is fitted again by least squares at the rows. Where there are hardly any rows, it is fitted
    to the old curve (beyond the old domain: to the values that ``outside`` gives). Every layer follows the values that
    the *old* network gives it, so no layer is fitted to the errors of another.

    A new grid of the same size cannot represent every function of the old grid. The layers are therefore handled from
    first to last, and each grid moves only so far that no output changes by more than ``max_moved``. If the data fill
    the old domain, grids move all the way. If the data lie outside it or in a corner of it, they move a few percent.
    For a network that will be trained again, ``max_moved=math.inf`` or a larger ``grid_size`` does no harm.

    Special cases: a feature with a single value keeps its grid, or gets one of the same width around the value. Between
    two neighbouring values there is at most about one knot. An outlier does not extend a domain beyond the old one;
    an outlier lies more than three widths of the middle 98 % outside of it.

    Args:
        kan: The network; it is not changed.
        rows: ``[2 or more rows, width[0]]``, imputed and scaled.
        grid_size: Number of intervals of every new spline; None: each layer keeps its own.
        uniform_share: Weight of the uniform distribution, 0 to 1; 1 moves domains and leaves grids uniform.
        margin: How far a domain extends beyond the data at each end, as a share of their width.
        max_moved: The largest accepted change of an output on these rows, as a share of its range.

    Returns:
        The network on its new grids, and how much its answers changed.

    Raises:
        ValueError: rows of another shape, fewer than two, not finite, or for which a layer gives numbers that are not
            finite; an argument outside its range; ``max_moved`` cannot be kept with another grid size; values so large
            that knots coincide.

    Source: arXiv 2404.19756, section 2.4. pykan's ``grid_eps`` and efficient-kan's ``update_grid`` mix the positions
    of knots instead, so one outlier takes resolution from all other values.
    """
    _check(kan, rows, grid_size, uniform_share, margin, max_moved)
    old = [layer.changed().double() for layer in kan.layers]
    new, strengths = [], []
    with torch.no_grad():
        fed = _nodes(old, rows.to(kan.layers[0].domain).double())
        values = fed[0]
        for index, layer in enumerate(kan.layers):
            size = layer.grid_size if grid_size is None else grid_size
            grids = layer_breaks(old[index], fed[index], size, uniform_share, margin, layer.domain.dtype)
            way = _GridMove(layer, old[index], grids, fed[index], values, tuple(old[index + 1 :]), fed[-1])
            strength, moved_layer = _move_grids(max_moved * (index + 1) / len(old), way)
            new.append(moved_layer)
            strengths.append(strength)
            values = _answers(moved_layer.changed().double(), values)
        alone = [_answers(layer.changed().double(), x) for layer, x in zip(new, fed, strict=False)]
        by_layer = [float(_largest_change(before, after).max()) for before, after in zip(fed[1:], alone, strict=True)]
    return Adaptation(
        kan.with_layers(new), tuple(_largest_change(fed[-1], values).tolist()), tuple(by_layer), tuple(strengths)
    )


def _check(
    kan: KAN, rows: Tensor, grid_size: int | None, uniform_share: float, margin: float, max_moved: float
) -> None:
    check_rows(kan, rows, at_least=2)
    if grid_size is not None and grid_size < 1:
        raise ValueError(f"grid_size is {grid_size}; wanted 1 or more intervals")
    if not 0 <= uniform_share <= 1:
        raise ValueError(f"uniform_share is {uniform_share}; wanted 0 to 1")
    if not (0 <= margin < math.inf):
        raise ValueError(f"margin is {margin}; wanted 0 or more")
    if not max_moved >= 0:
        raise ValueError(f"max_moved is {max_moved}; wanted 0 or more")


def _nodes(layers: list[KANLayer], x: Tensor) -> list[Tensor]:
    """The inputs of each layer, then the outputs: ``[rows, nodes]`` for each level of nodes."""
    fed = [x]
    for index, layer in enumerate(layers):
        fed.append(_answers(layer, fed[-1]))
        if (bad := ~torch.isfinite(fed[-1]).all(dim=1)).any():
            row = int(bad.nonzero()[0])
            raise ValueError(f"layer {index} answers row {row} with {fed[-1][row].tolist()}; wanted finite numbers")
    return fed


def _answers(layer: KANLayer, x: Tensor) -> Tensor:
    return torch.cat([layer(rows) for rows in _chunks(layer, x)])


def _chunks(layer: KANLayer, x: Tensor) -> tuple[Tensor, ...]:
    return torch.split(x, max(1, _CHUNK_VALUES // layer.coefficients[0].numel()))


def _largest_change(before: Tensor, after: Tensor) -> Tensor:
    """``[nodes]``: the largest difference as a share of the range; NaN if it is not finite."""
    largest = before.abs().amax(dim=0)
    scale = before.amax(dim=0) - before.amin(dim=0)
    # A computed constant may vary in its last digits.
    scale = torch.where(scale > 1e-9 * largest, scale, largest)
    share = (after - before).abs().amax(dim=0) / scale.clamp(min=_SMALLEST)
    return torch.where(torch.isfinite(share), share, torch.nan)


@dataclass(frozen=True)
class _GridMove:
    """How a layer goes from its old grids to those that follow the data.

    Attributes:
        layer: The layer on its old grids.
        exact: The same layer in float64.
        grids: The old breaks, resampled, and the new ones; both ``[inputs, size + 1]``.
        x: The layer's inputs in the old network.
        values: The layer's inputs in the new network, whose earlier layers have their new grids.
        after: The old layers after it.
        outputs: The outputs of the old network.
    """

    layer: KANLayer
    exact: KANLayer
    grids: tuple[Tensor, Tensor]
    x: Tensor
    values: Tensor
    after: tuple[KANLayer, ...]
    outputs: Tensor

    def at(self, strength: float) -> tuple[float, KANLayer]:
        """The layer after this share (0 to 1) of the move, and the largest change of an output."""
        old, wanted = self.grids
        if strength == 0 and old.shape[1] == self.layer.grid_size + 1:
            layer = self.layer.changed()
        else:
            layer = _fit_to_breaks(self.layer, self.exact, torch.lerp(old, wanted, strength), self.x)
        values = _answers(layer.changed().double(), self.values)
        for following in self.after:
            values = _answers(following, values)
        return float(_largest_change(self.outputs, values).max()), layer


def _move_grids(allowed: float, way: _GridMove) -> tuple[float, KANLayer]:
    """The largest share of the move that changes no output by more than ``allowed``, and the layer after it."""
    least = math.inf
    for strength in _STRENGTHS:
        moved, layer = way.at(strength)
        if moved <= allowed:
            return strength, layer
        least = min(least, moved)
    raise ValueError(
        f"{way.grids[0].shape[1] - 1} intervals instead of {way.layer.grid_size} move an output by {least:.2g} "
        f"of its range; wanted {allowed:.2g} at most"
    )


def _fit_to_breaks(layer: KANLayer, old: KANLayer, breaks: Tensor, x: Tensor) -> KANLayer:
    """The layer fitted to new grids; ``old`` is the same layer in float64."""
    degree, size = layer.degree, breaks.shape[1] - 1
    parts = {"coefficients": layer.coefficients.new_zeros(layer.sums, layer.inputs, size + degree)}
    shares = torch.linspace(0, 1, size + 1, dtype=breaks.dtype, device=breaks.device)
    even = torch.lerp(breaks[:, :1], breaks[:, -1:], shares)
    if ((breaks - even).abs() <= 1e-9 * (even[:, -1:] - even[:, :1])).all():
        parts["domain"] = breaks[:, [0, -1]].to(layer.domain)
    else:
        steps = torch.arange(1, degree + 1).to(breaks)
        first, last = breaks[:, 1:2] - breaks[:, :1], breaks[:, -1:] - breaks[:, -2:-1]
        knots = [breaks[:, :1] - first * steps.flip(0), breaks, breaks[:, -1:] + last * steps]
        parts["knots"] = torch.cat(knots, dim=1).to(layer.domain)
    empty = layer.changed(**parts)
    change = _change(old, empty.changed().double(), x)
    coefficients = nearest_directed(torch.einsum("inb,oib->oin", change, old.coefficients), layer.directions)
    return empty.changed(coefficients=coefficients.to(layer.coefficients))


def _change(old: KANLayer, new: KANLayer, x: Tensor) -> Tensor:
    """``[inputs, new coefficients, old coefficients]``: least squares at the rows, else at the old curve.

    First the old curve is fitted at points spread evenly over the intervals. In coordinates that are orthonormal on
    these points, the Gram matrix of the rows tells how well the rows determine each direction. Its eigenvalue is 1 if
    the rows are spread like the points and 0 if there are none. Directions above ``_THINNEST`` are corrected to fit
    the rows.
    """
    points = _points(new)
    q, r = torch.linalg.qr(new.basis(points).transpose(0, 1))
    fit = q.transpose(1, 2) @ old.basis(points).transpose(0, 1)
    to_even = torch.linalg.solve_triangular(r, torch.eye(r.shape[1], dtype=r.dtype, device=r.device), upper=True)
    gram, moment = torch.zeros_like(r), torch.zeros_like(fit)
    weight = len(points) / len(x)
    for rows in _chunks(new, x):
        at_rows = (new.basis(rows).transpose(0, 1) @ to_even).transpose(1, 2)
        gram += weight * at_rows @ at_rows.transpose(1, 2)
        moment += weight * at_rows @ old.basis(rows).transpose(0, 1)
    density, directions = torch.linalg.eigh(gram)
    missing = directions.transpose(1, 2) @ (moment - gram @ fit)
    correction = torch.where(density > _THINNEST, 1 / density.clamp(min=_THINNEST), 0.0)
    fit = fit + directions @ (correction.unsqueeze(-1) * missing)
    change: Tensor = torch.linalg.solve_triangular(r, fit, upper=True)
    return change


def _points(layer: KANLayer) -> Tensor:
    """Evenly spread points ``[points, inputs]``, the same number in every interval."""
    breaks = layer.all_knots()[:, layer.degree : -layer.degree]
    shares = (torch.arange(_POINTS_PER_INTERVAL).to(breaks) + 0.5) / _POINTS_PER_INTERVAL
    return (breaks[:, :-1, None] + breaks.diff(dim=1).unsqueeze(-1) * shares).flatten(1).T
