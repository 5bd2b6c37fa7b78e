"""Contributions: how much of an answer comes from each input, compared with a reference row.

The contributions of a row add up to its answer minus the baseline, the answer to the reference row. The rule is the
rescale rule of DeepLIFT along the edges of the KAN. With node values z of the row and ρ of the reference row, an edge φ
has the multiplier

    m = (φ(z) − φ(ρ)) / (z − ρ)

the slope of the line through its two points. Multipliers are multiplied along each path and summed over all paths, as
derivatives are in the chain rule. The contribution of an input is its multiplier times its difference x − r. Where
|z − ρ| is below a tiny step, the slope over that step stands in: the derivative to seven digits.

Example: y = (x₁ + x₂)², the row (2, 1), the reference row (0, 0). The node z = 3 has the multiplier (9 − 0) / (3 − 0),
which is 3, so the contributions are 3·2 = 6 and 3·1 = 3; they add up to y = 9. They are Shapley values here, too.

A node that multiplies has the Shapley values of its factors: (z₁ − ρ₁)·(z₂ + ρ₂)/2 and (z₂ − ρ₂)·(z₁ + ρ₁)/2 of two.

A network of one layer without such nodes is a sum of functions of single inputs. Its contributions φ(x) − φ(r) are
Shapley values exactly. In deeper networks they are near them: docs/explanations.md has the measurement.

Source: Shrikumar, Greenside, Kundaje, Learning important features through propagating activation differences, 2017,
arXiv 1704.02685, section 3.3.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN
from kan_model.network.products import shapley_slopes, sum_factors
from kan_model.network.transform import Exponential, InputTransform, OutputTransform, Softmax

# Smallest difference of a node whose slope is computed from the difference itself, as a share of the width of its
# splines' domain; for logarithms of answers, in their unit. Rounding is 1e-16 of a node, so slopes have nine digits.
SMALLEST_STEP = 1e-7
# Numbers of the edges and functions that are held at once: 64 MiB.
_NUMBERS = 2**23


@dataclass(frozen=True)
class Contributions:
    """What the answers to some rows are made of. Everything is float64.

    Attributes:
        inputs: ``[rows, outputs, features]``; they add up over the features to explained − baseline.
        explained: ``[rows, outputs]``: the answers; of a network with a softmax the scores before it.
        baseline: ``[references, outputs]``, the same for the reference rows.
    """

    inputs: Tensor
    explained: Tensor
    baseline: Tensor


def contributions(
    kan: KAN,
    rows: Tensor,
    reference: Tensor,
    inputs: InputTransform | None = None,
    outputs: OutputTransform | None = None,
) -> Contributions:
    """The contribution of each feature to each answer, in float64.

    Args:
        kan: The network.
        rows: ``[rows, features]``, raw, NaN for a gap.
        reference: ``[1, features]`` for all rows, or ``[rows, features]``: one for each.
        inputs: Imputation and scaling. The contribution of a gap input is added to that of its feature.
        outputs: Scaling, or exp, of the outputs, which the contributions explain too; a softmax is left out.

    Returns:
        Contributions, answers and baseline.

    Raises:
        ValueError: reference rows that are neither one nor as many as the rows.
    """
    if len(reference) not in (1, len(rows)) or reference.shape[1:] != rows.shape[1:]:
        raise ValueError(
            f"reference has shape {list(reference.shape)} for rows of shape {list(rows.shape)}; wanted one reference "
            "row, or as many as there are rows"
        )
    exact = copy.deepcopy(kan).double()
    with torch.no_grad():
        most = max(layer.inputs * (layer.sums + layer.grid_size + layer.degree) for layer in exact.layers)
        size, parts = max(1, _NUMBERS // (8 * most)), []
        for start in range(0, len(rows), size):
            own = reference if len(reference) == 1 else reference[start : start + size]
            parts.append(_of_rows(exact, rows[start : start + size].double(), own.double(), inputs, outputs))
    baseline = parts[0].baseline if len(reference) == 1 else torch.cat([part.baseline for part in parts])
    return Contributions(
        torch.cat([part.inputs for part in parts]), torch.cat([part.explained for part in parts]), baseline
    )


def smallest_steps(layer: KANLayer) -> Tensor:
    """The smallest step of each input of a layer that is not the first: float64 ``[inputs]``."""
    domain = layer.domain.detach().double()
    return SMALLEST_STEP * (domain[:, 1] - domain[:, 0])


def _of_rows(
    kan: KAN, rows: Tensor, reference: Tensor, inputs: InputTransform | None, outputs: OutputTransform | None
) -> Contributions:
    z, rho = (each if inputs is None else inputs(each) for each in (rows, reference))
    total = None
    for layer in kan.layers:
        if total is None:
            # The first layer needs no slopes: its edges' differences are the contributions of its inputs.
            total = layer.edge_outputs(z) - layer.edge_outputs(rho)
        else:
            step = _step(z - rho, smallest_steps(layer))
            slopes = (layer.edge_outputs(rho + step) - layer.edge_outputs(rho)) / step[:, None]
            total = slopes @ total
        z, rho = layer.sums_of(z), layer.sums_of(rho)
        if layer.products is not None:
            total = sum_factors(layer.products, shapley_slopes(layer.products, z, rho)[..., None] * total)
            z, rho = layer.nodes_of(z), layer.nodes_of(rho)
    assert total is not None
    if outputs is not None and not isinstance(outputs, Softmax):
        total = total * torch.from_numpy(outputs.scale).double()[:, None]
        logarithm = outputs.logarithm if isinstance(outputs, Exponential) else outputs
        z, rho = logarithm(z), logarithm(rho)
    if isinstance(outputs, Exponential):
        step = _step(z - rho, torch.tensor(SMALLEST_STEP))
        total = total * ((torch.exp(rho + step) - torch.exp(rho)) / step)[..., None]
        z, rho = torch.exp(z), torch.exp(rho)
    return Contributions(_sum_gaps(total, inputs, rows.shape[1]), z, rho)


def _step(difference: Tensor, smallest: Tensor) -> Tensor:
    """The difference, or the smallest step where it is smaller."""
    return torch.where(difference.abs() < smallest, smallest, difference)


def _sum_gaps(total: Tensor, inputs: InputTransform | None, features: int) -> Tensor:
    """The contributions of features, with those of their gap inputs."""
    if inputs is None or inputs.gaps is None:
        return total
    return total[..., :features].index_add(2, torch.from_numpy(inputs.gaps), total[..., features:])
