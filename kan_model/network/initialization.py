"""Initial weights of a layer: three initializations, one function each.

Each edge starts as w·silu(x) + Σ_m c_m B_m(x), with independent random w and c_m of mean 0. The initializations differ
in the standard deviations of w and of c_m. The paper's is the default: docs/decisions/0008-initialization.md has what
was measured. Example, a layer of 64 inputs and 64 outputs, 5 cubic intervals on [-1, 1]:

    paper                 w: 0.125   c: 0.0125
    power-law             w: 0.204   c: 0.000015
    variance-preserving   w: 0.215   c: 0.024
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

import torch
from torch import Generator, Tensor
from torch.nn.functional import silu

from kan_model.splines.bspline import cardinal_terms

Initialization = Literal["paper", "power-law", "variance-preserving"]
# Base weights [outputs, inputs] and coefficients [outputs, inputs, grid_size + degree], float64.
Weights: TypeAlias = tuple[Tensor, Tensor]

_BASE_EXPONENT, _SPLINE_EXPONENT = 0.25, 1.75
_SPLINE_SHARE = 0.1
# Points of the midpoint rule for the moments of silu.
_POINTS = 4096


@dataclass(frozen=True)
class LayerShape:
    """What the weights of a new layer depend on.

    Attributes:
        outputs: Number of sums that the layer feeds.
        grid_size: Number of intervals of every spline.
        degree: Degree of the splines.
        domain: ``[inputs, 2]``, float64: the interval of each input's splines.
        next_domain: The interval of the splines that read the nodes.
        noise: Size of the coefficients, for :func:`paper`.
    """

    outputs: int
    grid_size: int
    degree: int
    domain: Tensor
    next_domain: tuple[float, float]
    noise: float

    @property
    def inputs(self) -> int:
        """Number of nodes that the layer reads."""
        return len(self.domain)

    @property
    def functions(self) -> int:
        """Number of basis functions of an edge."""
        return self.grid_size + self.degree


def paper(shape: LayerShape, generator: Generator) -> Weights:
    """Xavier for the base branch, small noise for the splines.

    w is uniform on ±√(6 / (inputs + outputs)); c_m has the standard deviation noise / √inputs. The paper gives the
    noise of one edge. A node sums all its edges, so its own noise would grow with their number.

    Source: arXiv 2404.19756, section 2.2.
    """
    noise = shape.noise / math.sqrt(shape.inputs)
    draws = torch.randn(shape.outputs, shape.inputs, shape.functions, generator=generator, dtype=torch.float64)
    bound = math.sqrt(6 / (shape.inputs + shape.outputs))
    base = (torch.rand(shape.outputs, shape.inputs, generator=generator, dtype=torch.float64) * 2 - 1) * bound
    return base, draws * noise


def power_law(shape: LayerShape, generator: Generator) -> Weights:
    """Standard deviations that are powers of the number of terms of a node, inputs · (grid_size + degree + 1).

    w has terms^-α and c_m has terms^-β with α = 0.25 and β = 1.75, the exponents with which its authors fit the Feynman
    equations. The splines start close to 0: at 5 inputs and 5 cubic intervals c_m has 0.0013, and w has 0.39.

    Source: arXiv 2509.03417, the power-law initialization.
    """
    terms = shape.inputs * (shape.functions + 1)
    return _normal(
        shape,
        torch.tensor(terms**-_BASE_EXPONENT, dtype=torch.float64),
        torch.tensor(terms**-_SPLINE_EXPONENT, dtype=torch.float64),
        generator,
    )


def variance_preserving(shape: LayerShape, generator: Generator) -> Weights:
    """Node values keep the variance of the inputs, and gradients keep theirs on the way back.

    Let x be uniform on its domain, with variance v, and let v' be the variance of a uniform value on the domain that
    reads the node. A node's second moment over v' is the forward gain f. A gradient by x has the backward gain b, each
    gradient measured in standard deviations: of x, and of the node. As all weights are independent and have mean 0,

        f = inputs · (var w · E[silu(x)²] + var c · E[Σ_m B_m(x)²]) / v'
        b = outputs · (var w · E[silu'(x)²] + var c · E[Σ_m B_m'(x)²]) · v / v'

    Both cannot be 1 for any two variances: on [-1, 1] the base branch alone has b / f = 1.13 · outputs / inputs, and
    cubic splines of 5 intervals have 2.9, of 20 intervals 46, because their slopes grow with the number of intervals.
    As in Glorot's initialization the mean of f and b is 1. The splines give a tenth of it, whatever the grid: more
    would move f and b away from each other.

        var w · (inputs · E[silu(x)²] + outputs · v · E[silu'(x)²]) / v' = 2 · 0.9
        var c · (inputs · E[Σ B_m(x)²] + outputs · v · E[Σ B_m'(x)²]) / v' = 2 · 0.1

    Inputs with different domains have different variances: each gives the same part of f + b.

    Source: our calculation, after Glorot and Bengio, Understanding the difficulty of training deep feedforward neural
    networks (2010).
    """
    spread, next_spread = _variance(shape.domain), _variance(torch.tensor([shape.next_domain], dtype=torch.float64))
    deviations = []
    for share, (value, slope) in (
        (1 - _SPLINE_SHARE, silu_moments(shape.domain)),
        (_SPLINE_SHARE, spline_moments(shape.domain, shape.grid_size, shape.degree)),
    ):
        gains = (shape.inputs * value + shape.outputs * spread * slope) / next_spread
        deviations.append((2 * share / gains).sqrt())
    base, splines = deviations
    return _normal(shape, base, splines.unsqueeze(1), generator)


INITIALIZATIONS: Mapping[Initialization, Callable[[LayerShape, Generator], Weights]] = MappingProxyType(
    {"paper": paper, "power-law": power_law, "variance-preserving": variance_preserving}
)


def silu_moments(domain: Tensor) -> tuple[Tensor, Tensor]:
    """E[silu(x)²] and E[silu'(x)²] for x uniform on each domain.

    Args:
        domain: ``[inputs, 2]``.

    Returns:
        Two tensors ``[inputs]``, by the midpoint rule.
    """
    places = (torch.arange(_POINTS, dtype=torch.float64) + 0.5) / _POINTS
    x = domain[:, :1] + (domain[:, 1:] - domain[:, :1]) * places
    gate = torch.sigmoid(x)
    slope = gate * (1 + x * (1 - gate))
    return silu(x).square().mean(dim=1), slope.square().mean(dim=1)


def spline_moments(domain: Tensor, grid_size: int, degree: int) -> tuple[Tensor, Tensor]:
    """E[Σ_m B_m(x)²] and E[Σ_m B_m'(x)²] for x uniform on each domain, on uniform grids.

    Every interval holds all degree + 1 pieces of the cardinal B-spline N of this degree once, so both are integrals
    over its whole support. An integral of a product of two B-splines is a B-spline again:

        E[Σ B_m²] = ∫ N(u)² du = M(0), M of degree 2·degree + 1, at its centre
        E[Σ B_m'²] = ∫ N'(u)² du / h² = 2·(L(0) − L(1)) / h², L of degree 2·degree − 1, h the width of an interval

    because N' is the difference of two neighbours of one degree less. Degree 1: 2/3 and 2/h²; degree 3: 151/315 and
    2/(3·h²).

    Args:
        domain: ``[inputs, 2]``.
        grid_size: Number of intervals.
        degree: Degree of the splines.

    Returns:
        Two tensors ``[inputs]``.
    """
    widths = (domain[:, 1] - domain[:, 0]) / grid_size
    lower = 2 * degree - 1
    slopes = 2 * (_cardinal(lower, 0.0) - _cardinal(lower, 1.0)) / widths.square()
    return torch.full_like(widths, _cardinal(2 * degree + 1, 0.0)), slopes


def _cardinal(degree: int, distance: float) -> float:
    """The cardinal B-spline at a distance from its centre."""
    return sum(weight * max(reach - distance, 0.0) ** degree for reach, weight in cardinal_terms(degree))


def _variance(domain: Tensor) -> Tensor:
    """Of a uniform value on each domain ``[inputs, 2]``."""
    return (domain[:, 1] - domain[:, 0]).square() / 12


def _normal(shape: LayerShape, base: Tensor, splines: Tensor, generator: Generator) -> Weights:
    """Normal weights with these standard deviations, which broadcast over the weights."""
    sizes = (shape.outputs, shape.inputs), (shape.outputs, shape.inputs, shape.functions)
    draws = [torch.randn(size, generator=generator, dtype=torch.float64) for size in sizes]
    return draws[0] * base, draws[1] * splines
