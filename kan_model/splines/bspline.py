"""B-splines in one dimension, many features at once.

The terms are SciPy's (``BSpline(t, c, k)``): ``degree`` is k, ``knots`` are t, ``coefficients`` are c.
A grid of G intervals over a domain has G + 2·degree + 1 knots (``degree`` of them beyond each end)
and G + degree basis functions. Every function takes one grid per feature: knots ``[features, K]``.
"""

from math import comb, factorial

import torch
from torch import Tensor

MIN_DEGREE, MAX_DEGREE = 1, 5


def uniform_knots(domain: Tensor, grid_size: int, degree: int) -> Tensor:
    """Evenly spaced knots, ``degree`` of them beyond each end of the domain.

    Args:
        domain: ``[features, 2]``, low and high of each feature.
        grid_size: Number of intervals G.
        degree: Degree of the spline.

    Returns:
        ``[features, G + 2·degree + 1]``; knot ``degree`` is low, knot ``degree + G`` is high.
    """
    steps = torch.arange(-degree, grid_size + degree + 1, dtype=domain.dtype, device=domain.device) / grid_size
    low, high = domain[:, :1], domain[:, 1:]
    return low + (high - low) * steps


def basis(x: Tensor, knots: Tensor, degree: int) -> Tensor:
    """The values of all basis functions at x, on any grid, by the Cox–de Boor recursion.

    Args:
        x: ``[rows, features]``.
        knots: ``[features, K]``, strictly increasing.
        degree: Degree of the spline.

    Returns:
        ``[rows, features, K - degree - 1]``; zero beyond the knots.

    Source: de Boor, A Practical Guide to Splines, ch. IX; SciPy's ``BSpline.design_matrix`` inside the domain.
    """
    # Beyond the knots every basis function is 0, as at the first and last knot. Without the clamp huge x give 0 · ∞.
    x = torch.clamp(x, knots[:, 0], knots[:, -1]).unsqueeze(-1)
    values = ((x >= knots[:, :-1]) & (x < knots[:, 1:])).to(x.dtype)
    for order in range(1, degree + 1):
        rising = (x - knots[:, : -order - 1]) / (knots[:, order:-1] - knots[:, : -order - 1])
        falling = (knots[:, order + 1 :] - x) / (knots[:, order + 1 :] - knots[:, 1:-order])
        values = rising * values[..., :-1] + falling * values[..., 1:]
    return values


def uniform_basis(x: Tensor, domain: Tensor, grid_size: int, degree: int) -> Tensor:
    """The values of all basis functions at x, on a uniform grid, in closed form.

    With v = |x/h − centre|, the distance in intervals, a basis function is
    Σᵢ (−1)ⁱ·C(degree+1, i)·(c − i − v)₊^degree / degree! with c = (degree+1)/2. This is one half of the
    truncated-power form, mirrored: near the ends of the support only one term is left, so nothing cancels.

    Args:
        x: ``[rows, features]``.
        domain: ``[features, 2]``.
        grid_size: Number of intervals G.
        degree: Degree of the spline.

    Returns:
        ``[rows, features, G + degree]``.

    Source: Schoenberg's cardinal B-spline; equals :func:`basis` on :func:`uniform_knots`.
    """
    half = (degree + 1) / 2
    centres = torch.arange(grid_size + degree, dtype=x.dtype, device=x.device) + (half - degree)
    cells = (x - domain[:, 0]) * (grid_size / (domain[:, 1] - domain[:, 0]))
    distance = (cells.unsqueeze(-1) - centres).abs()
    return sum(
        (weight * torch.relu(reach - distance).pow(degree) for reach, weight in cardinal_terms(degree)),
        start=torch.zeros_like(distance),
    )


def cardinal_terms(degree: int) -> tuple[tuple[float, float], ...]:
    """The terms weight·(reach − v)₊^degree whose sum is the cardinal B-spline at distance v from its centre.

    Args:
        degree: Degree of the spline.

    Returns:
        (reach, weight) of each term, largest reach first. Degree 1: ((1, 1),), the hat (1 − v)₊.
    """
    half = (degree + 1) / 2
    return tuple(
        (half - i, (-1) ** i * comb(degree + 1, i) / factorial(degree)) for i in range(degree + 1) if half - i > 0
    )


def evaluate(x: Tensor, knots: Tensor, coefficients: Tensor, degree: int) -> Tensor:
    """The values of the splines, one spline per feature.

    Args:
        x: ``[rows, features]``.
        knots: ``[features, K]``.
        coefficients: ``[features, K - degree - 1]``.
        degree: Degree of the splines.

    Returns:
        ``[rows, features]``; zero beyond the knots.
    """
    return torch.einsum("nfb,fb->nf", basis(x, knots, degree), coefficients)


def fit_coefficients(x: Tensor, y: Tensor, knots: Tensor, degree: int, weights: Tensor | None = None) -> Tensor:
    """The coefficients of the splines that fit given values best in least squares.

    Args:
        x: ``[rows, features]``, points inside the domain.
        y: ``[rows, features, curves]``, the values to fit.
        knots: ``[features, K]``.
        degree: Degree of the splines.
        weights: ``[rows, features]``, 0 or more: the weight of each squared difference; None: all are 1.

    Returns:
        ``[features, curves, K - degree - 1]``. With too few points there are many solutions; this is the smallest one.
    """
    design = basis(x, knots, degree)
    if weights is not None:
        roots = weights.sqrt().unsqueeze(2)
        design, y = roots * design, roots * y
    design = design.transpose(0, 1)
    # gelsd uses an SVD: a basis function that is 0 at all points gets the coefficient 0, not NaN.
    solution: Tensor = torch.linalg.lstsq(design.cpu(), y.transpose(0, 1).cpu(), driver="gelsd").solution
    return solution.transpose(1, 2).to(y.device)


def insertion_matrix(knots: Tensor, finer: Tensor, degree: int) -> Tensor:
    """The matrix that turns coefficients on a grid into those of the same function on a finer grid.

    The two functions agree on the whole domain, exactly, if the finer grid holds every interior knot of the coarser.

    Row j is the blossom (polar form) of the coarse spline at the finer knots j+1 … j+degree. A blossom belongs to one
    polynomial piece. Every piece in the support of basis function j, inside the domain, gives the same number. The
    widest piece gives it with the least rounding, so that one is used.

    Example: degree 1, knots −1, 0, 1, 2 and the finer knots −0.5, 0, 0.5, 1, 1.5. The coefficients (c0, c1) become
    (c0, (c0 + c1)/2, c1): the values at 0, 0.5 and 1.

    Args:
        knots: ``[features, K]``, the coarse grid.
        finer: ``[features, L]``, the finer grid over the same domain.
        degree: Degree of both splines.

    Returns:
        ``[features, L - degree - 1, K - degree - 1]``.

    Source: Ramshaw's blossoming; Cohen, Lyche and Riesenfeld's Oslo algorithm gives the same numbers.
    """
    features, coarse_count = knots.shape[0], knots.shape[1] - degree - 1
    fine_count = finer.shape[1] - degree - 1
    last_fine_cell = finer.shape[1] - degree - 2
    rows = []
    for j in range(fine_count):
        first_cell, last_cell = max(j, degree), min(j + degree, last_fine_cell)
        fine_cell = first_cell + finer[:, first_cell : last_cell + 2].diff(dim=1).argmax(dim=1, keepdim=True)
        middle = (finer.gather(1, fine_cell) + finer.gather(1, fine_cell + 1)) / 2
        cell = torch.searchsorted(knots[:, degree:-degree].contiguous(), middle, right=True) - 1 + degree
        local = cell + torch.arange(-degree, 1, device=knots.device)
        # piece[f, i, :]: the i-th value of the blossom's recursion, in terms of the degree + 1 local coefficients.
        piece = torch.eye(degree + 1, dtype=knots.dtype, device=knots.device).expand(features, -1, -1)
        for level in range(1, degree + 1):
            left = local[:, level:]
            start = knots.gather(1, left)
            end = knots.gather(1, left + degree + 1 - level)
            share = ((finer[:, j + level : j + level + 1] - start) / (end - start)).unsqueeze(-1)
            piece = (1 - share) * piece[:, :-1] + share * piece[:, 1:]
        row = torch.zeros(features, coarse_count, dtype=knots.dtype, device=knots.device)
        rows.append(row.scatter(1, local, piece[:, 0]))
    return torch.stack(rows, dim=1)


def check_grid(knots: Tensor, degree: int) -> None:
    """Refuse a degree or knots that make no spline.

    Args:
        knots: ``[features, K]``.
        degree: Degree of the spline.

    Raises:
        ValueError: degree not 1 to 5, too few knots, or knots that are not finite and strictly increasing.
    """
    if not MIN_DEGREE <= degree <= MAX_DEGREE:
        raise ValueError(f"degree is {degree}; wanted {MIN_DEGREE} to {MAX_DEGREE}")
    if knots.ndim != 2 or knots.shape[1] < 2 * degree + 2:
        raise ValueError(f"knots have shape {tuple(knots.shape)}; wanted [features, at least {2 * degree + 2}]")
    bad = (~torch.isfinite(knots).all(dim=1)) | (torch.diff(knots, dim=1) <= 0).any(dim=1)
    if bad.any():
        feature = int(bad.nonzero()[0])
        raise ValueError(
            f"knots of feature {feature} are {knots[feature].tolist()}; wanted finite, strictly increasing numbers"
        )
