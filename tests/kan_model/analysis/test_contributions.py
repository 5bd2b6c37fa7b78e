"""Contributions add up, and they are what other definitions of them give."""

import copy
from collections.abc import Callable, Sequence
from itertools import combinations
from math import comb

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kan_model import KAN, KANConfig, SymbolicEdge
from kan_model.analysis.contributions import contributions
from kan_model.network.layer import KANLayer
from kan_model.network.transform import Affine, Exponential, InputTransform, OutputTransform, Softmax

Values = NDArray[np.float64]


def rows(count: int, features: int, seed: int = 0, size: float = 1.0) -> torch.Tensor:
    """Random rows between -size and size."""
    generator = torch.Generator().manual_seed(seed)
    return size * (2 * torch.rand(count, features, generator=generator, dtype=torch.float64) - 1)


def shapley(answer: Callable[[torch.Tensor], torch.Tensor], row: torch.Tensor, reference: torch.Tensor) -> Values:
    """Shapley values ``[outputs, features]`` by all 2^n coalitions, of the game in which absent features are those of
    the reference row.
    """
    n = len(row)
    masks = (torch.arange(2**n)[:, None] >> torch.arange(n)) & 1
    values = answer(torch.where(masks.bool(), row, reference)).detach().numpy()
    result = np.zeros((values.shape[1], n))
    for feature in range(n):
        others = [each for each in range(n) if each != feature]
        for size in range(n):
            weight = 1 / (n * comb(n - 1, size))
            for coalition in combinations(others, size):
                without = sum(1 << each for each in coalition)
                result[:, feature] += weight * (values[without | 1 << feature] - values[without])
    return result


@pytest.mark.parametrize("outside", ["clamp", "decay"])
def test_one_layer_has_shapley_values(make_kan: Callable[..., KAN], outside: str) -> None:
    """A network of one layer is a sum of functions of single inputs: its contributions are Shapley values exactly."""
    kan = make_kan((5, 3), outside=outside, uneven=True)
    x, reference = rows(4, 5, size=2), rows(1, 5, seed=1)
    found = contributions(kan, x, reference)
    for place, row in enumerate(x):
        np.testing.assert_allclose(found.inputs[place], shapley(kan, row, reference[0]), atol=1e-12)


def test_the_example_of_the_docstring() -> None:
    """(x₁ + x₂)² at (2, 1) against (0, 0): 6 and 3."""
    first = KANLayer(
        torch.zeros(1, 2), torch.zeros(1, 2, 5), degree=3, outside="clamp", domain=torch.tensor([[-1.0, 1]] * 2)
    )
    second = KANLayer(
        torch.zeros(1, 1), torch.zeros(1, 1, 5), degree=3, outside="clamp", domain=torch.tensor([[-1.0, 1]])
    )
    sums = first.with_symbolic([SymbolicEdge(0, place, "x", 1, 0, 1, 0) for place in range(2)])
    kan = KAN.of_layers([sums, second.with_symbolic([SymbolicEdge(0, 0, "x^2", 1, 0, 1, 0)])])
    found = contributions(kan, torch.tensor([[2.0, 1.0]]), torch.zeros(1, 2))
    np.testing.assert_allclose(found.inputs, [[[6, 3]]], rtol=1e-6)
    np.testing.assert_allclose(shapley(kan, torch.tensor([2.0, 1.0]), torch.zeros(2)), [[6, 3]], rtol=1e-6)


def test_multipliers_are_sums_over_all_paths(make_kan: Callable[..., KAN]) -> None:
    """Written out for [2, 2, 1]: each path's product of slopes, times the difference of its input."""
    kan = make_kan((2, 2, 1))
    x, r = rows(1, 2), rows(1, 2, seed=1)
    with torch.no_grad():
        first = [kan.layers[0].edge_outputs(each)[0] for each in (x, r)]
        nodes = [kan.layers[0](each) for each in (x, r)]
        second = [kan.layers[1].edge_outputs(each)[0, 0] for each in nodes]
    wanted = [
        sum(
            (second[0][node] - second[1][node])
            / (nodes[0] - nodes[1])[0, node]
            * ((first[0] - first[1])[node, feature] / (x - r)[0, feature])
            * (x - r)[0, feature]
            for node in range(2)
        )
        for feature in range(2)
    ]
    np.testing.assert_allclose(contributions(kan, x, r).inputs[0, 0], wanted, rtol=1e-12)


@pytest.mark.parametrize("arity", [2, 3])
def test_a_product_of_functions_has_shapley_values(make_kan: Callable[..., KAN], arity: int) -> None:
    """Of a network of one layer whose nodes multiply functions of single inputs: the Shapley values exactly."""
    kan = make_kan((arity, (0, 1)), arity=arity)
    layer = kan.layers[0]
    kan = KAN.of_layers([layer.changed(edge_mask=torch.eye(arity, dtype=torch.float64))])
    x, reference = rows(4, arity, size=2), rows(1, arity, seed=1)
    found = contributions(kan, x, reference)
    for row, got in zip(x, found.inputs, strict=True):
        np.testing.assert_allclose(got, shapley(kan, row, reference[0]), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("width", [(3, 1), (3, 4, 2), (2, 3, 3, 2), (3, (2, 2), (1, 1))])
@pytest.mark.parametrize("outputs", [None, "affine", "exponential", "softmax"])
def test_contributions_add_up(make_kan: Callable[..., KAN], width: tuple[int, ...], outputs: str | None) -> None:
    """Their sum is the answer minus the baseline; of a classifier the score."""
    kan = make_kan(width)
    vector = np.linspace(0.5, 2, kan.width[-1], dtype=np.float32)
    transform: OutputTransform | None = {
        None: None,
        "affine": Affine(vector, 3 * vector),
        "exponential": Exponential(vector, vector),
        "softmax": Softmax(),
    }[outputs]
    x, reference = rows(70, width[0], size=3), rows(1, width[0], seed=1)
    for own in (reference, rows(70, width[0], seed=2)):
        found = contributions(kan, x, own, None, transform)
        apply = (lambda y: y) if transform is None or outputs == "softmax" else transform
        with torch.no_grad():
            torch.testing.assert_close(found.explained, apply(kan(x)))
            torch.testing.assert_close(found.baseline, apply(kan(own)))
        sums = found.inputs.sum(dim=2)
        size = found.inputs.abs().sum(dim=2).clamp(min=1)
        assert ((sums - (found.explained - found.baseline)).abs() / size).max() < 1e-9


def test_tiny_differences_have_the_derivative(make_kan: Callable[..., KAN]) -> None:
    """Next to the reference row a contribution is the gradient times the difference, and the row itself has zeros."""
    kan = make_kan((3, 4, 1))
    reference = rows(1, 3)
    point = reference.clone().requires_grad_()
    kan(point).sum().backward()
    assert point.grad is not None
    step = 1e-9 * torch.tensor([[1.0, -2.0, 3.0]], dtype=torch.float64)
    found = contributions(kan, reference + step, reference)
    np.testing.assert_allclose(found.inputs[0, 0], (point.grad * step)[0], rtol=1e-5)
    assert torch.equal(contributions(kan, reference, reference).inputs, torch.zeros(1, 1, 3, dtype=torch.float64))


def test_a_gap_counts_for_its_feature(make_kan: Callable[..., KAN]) -> None:
    """The gap input's contribution is added to that of its feature: three columns, not four."""
    kan = make_kan((4, 3, 1))
    center, scale = (np.full(4, each, dtype=np.float32) for each in (0.5, 2.0))
    inputs = InputTransform(center, scale, np.full(3, 0.25, dtype=np.float32), np.array([1]))
    x = rows(2, 3)
    x[0, 1] = torch.nan
    found = contributions(kan, x, rows(1, 3, seed=1), inputs)
    assert found.inputs.shape == (2, 1, 3)
    torch.testing.assert_close(found.inputs.sum(dim=2), found.explained - found.baseline)


def test_far_rows_stay_finite(make_kan: Callable[..., KAN]) -> None:
    """One input of 1e6 gives finite contributions that add up."""
    kan = make_kan((3, 4, 2))
    x = rows(3, 3)
    x[torch.arange(3), torch.arange(3)] = torch.tensor([1e6, -1e6, 1e5], dtype=torch.float64)
    found = contributions(kan, x, rows(1, 3, seed=1))
    assert torch.isfinite(found.inputs).all()
    torch.testing.assert_close(found.inputs.sum(dim=2), found.explained - found.baseline)


@pytest.mark.parametrize("shape", [(2, 3), (1, 2), (0, 3)])
def test_other_reference_rows_are_refused(make_kan: Callable[..., KAN], shape: Sequence[int]) -> None:
    """One reference row, or one for each row; as wide as the rows."""
    with pytest.raises(ValueError, match="wanted one reference row, or as many as there are rows"):
        contributions(make_kan((3, 1)), rows(5, 3), torch.zeros(*shape))


def test_the_network_is_left_as_it_is(make_kan: Callable[..., KAN]) -> None:
    """A float32 network is copied, not converted."""
    kan = KAN(KANConfig((2, 1)))
    before = copy.deepcopy(kan.state_dict())
    assert contributions(kan, rows(1, 2).float(), rows(1, 2).float()).inputs.dtype == torch.float64
    assert all(torch.equal(before[name], value) for name, value in kan.state_dict().items())
