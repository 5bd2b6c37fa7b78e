"""Bad input, function by function: a ValueError that says what came and what was wanted, or a finite result."""

import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kan_model import (
    KAN,
    KANConfig,
    KANLayer,
    SymbolicEdge,
    adapt_grid,
    attribute,
    auto_symbolic,
    dependence,
    fit_constants,
    fix_symbolic,
    interactions,
    prune,
    refine_grid,
    suggest_symbolic,
)
from kan_model.analysis.attribution import edge_statistics
from kan_model.analysis.penalty import penalty
from kan_model.formula.expression import formula
from kan_model.grids.refinement import replace_knots
from kan_model.interop import from_efficient_kan
from kan_model.lowering import lower
from kan_model.plot import diagram, edge_detail

FEW = ("x", "sin", "log")


def constants(kan: KAN, rows: Tensor) -> KAN:
    """fit_constants to targets of zero, of one more edge that is a formula."""
    return fit_constants(
        fix_symbolic(kan, 0, SymbolicEdge(1, 1, "sin", 1, 0, 1, 0)), rows, torch.zeros(len(rows), 2), steps=5
    )


# Whatever reads a network and rows.
FUNCTIONS: dict[str, Callable[[KAN, Tensor], object]] = {
    "adapt_grid": adapt_grid,
    "penalty": penalty,
    "edge_statistics": edge_statistics,
    "attribute": attribute,
    "dependence": dependence,
    "interactions": interactions,
    "prune": prune,
    "suggest": lambda kan, rows: suggest_symbolic(kan, rows, 1, 0, 0, functions=FEW),
    "auto": lambda kan, rows: auto_symbolic(kan, rows, functions=FEW),
    "fit_constants": constants,
    "diagram": diagram,
    "edge_detail": lambda kan, rows: edge_detail(kan, rows, 1, 0, 0),
}
# To these one row says as much as many; the others compare rows.
ONE_ROW_IS_ENOUGH = {"penalty", "edge_statistics", "fit_constants"}


def network(grid_size: int = 5) -> KAN:
    """[2, 3, 2], float32, on [−1, 1]."""
    return KAN(KANConfig((2, 3, 2), grid_size=grid_size))


def good(count: int = 40) -> Tensor:
    """Rows inside the domain, the same every time."""
    return torch.rand(count, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1


def with_a(value: float) -> Tensor:
    """The same, with this value in row 3."""
    rows = good()
    rows[3, 1] = value
    return rows


def is_finite(result: object) -> bool:
    """Whether all numbers in what a function gave are finite; pictures have none."""
    if isinstance(result, nn.Module):
        return all(map(is_finite, result.state_dict().values()))
    if isinstance(result, Tensor):
        return bool(torch.isfinite(result).all())
    if isinstance(result, np.ndarray | float):
        return bool(np.isfinite(result).all())
    if isinstance(result, list | tuple):
        return all(map(is_finite, result))
    if is_dataclass(result):
        return all(is_finite(getattr(result, field.name)) for field in fields(result))
    return True


REFUSED_ROWS = {
    "NaN": (with_a(math.nan), "row 3"),
    "infinity": (with_a(-math.inf), "row 3"),
    "none": (good(0), r"\(0, 2\)"),
    "a column more": (torch.zeros(40, 3), r"\(40, 3\)"),
    "one dimension": (torch.zeros(40), r"\(40,\)"),
}


@pytest.mark.parametrize("rows", REFUSED_ROWS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_rows_that_are_none_are_refused(name: str, rows: str) -> None:
    """Each function says which row or shape came, and what was wanted."""
    given, said = REFUSED_ROWS[rows]
    with pytest.raises(ValueError, match=f"{said}.*; wanted"):
        FUNCTIONS[name](network(), given)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_row(name: str) -> None:
    """Where rows are compared with each other two are wanted; elsewhere one is enough."""
    if name in ONE_ROW_IS_ENOUGH:
        assert is_finite(FUNCTIONS[name](network(), good(1)))
        return
    with pytest.raises(ValueError, match=r"\(1, 2\)"):
        FUNCTIONS[name](network(), good(1))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_rows_that_are_all_the_same(name: str) -> None:
    """With equal rows grids stay and constants fit; only functions that weigh edges by their variation refuse."""
    rows = good(1).repeat(40, 1)
    if name == "prune":
        with pytest.raises(ValueError, match="same to all"):
            prune(network(), rows)
        return
    assert is_finite(FUNCTIONS[name](network(), rows))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("grid_size", "rows"),
    [(100, good(5)), (100, with_a(30.0)), (5, good() * 1e20), (5, good().double()), (5, (good() * 5).long())],
    ids=["a grid finer than the rows", "and a row far outside", "all far outside", "another type", "whole numbers"],
)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_odd_rows_have_finite_results(name: str, grid_size: int, rows: Tensor) -> None:
    """Splines say nothing of intervals without rows, and their old curve counts there; far outside they are constant.

    Rows of another type than the network's are converted.
    """
    assert is_finite(FUNCTIONS[name](network(grid_size), rows))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_outside_its_domain_is_refused(name: str) -> None:
    """The logarithm of negative numbers, on its way to the layer after it."""
    kan = fix_symbolic(network(), 0, SymbolicEdge(0, 0, "log", 1, 0, 1, 0))
    with pytest.raises(ValueError, match=r"nan|finite") as caught:
        FUNCTIONS[name](kan, good())
    assert "wanted" in str(caught.value)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_network_with_nan_weights_is_refused(name: str) -> None:
    """One NaN among the first layer's coefficients."""
    kan = network()
    kan.layers[0].coefficients.data[0, 0, 2] = math.nan
    with pytest.raises(ValueError, match=r"nan|finite"):
        FUNCTIONS[name](kan, good())


def layer(**changes: object) -> KANLayer:
    """[2, 1] of three intervals, one part replaced."""
    parts: dict[str, object] = {"domain": torch.tensor([[-1.0, 1.0]] * 2)}
    if "knots" in changes:
        parts = {}
    parts |= {"base_weight": torch.ones(1, 2), "coefficients": torch.ones(1, 2, 6), "degree": 3, "outside": "clamp"}
    return KANLayer(**(parts | changes))  # type: ignore[arg-type]


def knots(*changed: tuple[int, float]) -> Tensor:
    """−3 … 3, twice, some of the second feature's replaced."""
    result = torch.arange(-4.5, 5).repeat(2, 1)
    for place, value in changed:
        result[1, place] = value
    return result


def efficient(**changes: Tensor) -> dict[str, Tensor]:
    """A state dict of efficient-kan, [2, 1], some tensors replaced."""
    return {
        "layers.0.grid": torch.linspace(-2.2, 2.2, 12).repeat(2, 1),
        "layers.0.base_weight": torch.ones(1, 2),
        "layers.0.spline_weight": torch.zeros(1, 2, 8),
        "layers.0.spline_scaler": torch.ones(1, 2),
    } | {f"layers.0.{name}": tensor for name, tensor in changes.items()}


def broken() -> KAN:
    """A network with a weight of NaN."""
    kan = network()
    kan.layers[1].base_weight.data[1, 2] = math.nan
    return kan


NAN, INF = math.nan, math.inf
REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "duplicated knots": (lambda: layer(knots=knots((4, -1.5))), "feature 1 .*increasing"),
    "knots that go back": (lambda: layer(knots=knots((4, -9.0))), "feature 1 .*increasing"),
    "knots of NaN": (lambda: layer(knots=knots((4, NAN))), "feature 1 .*increasing"),
    "too few knots": (lambda: layer(knots=knots()[:, :7]), r"\(2, 7\); wanted"),
    "an empty domain": (lambda: layer(domain=torch.tensor([[-1.0, 1], [2, 2]])), "feature 1 .*; wanted"),
    "a domain turned round": (lambda: layer(domain=torch.tensor([[-1.0, 1], [1, -1]])), "feature 1 .*; wanted"),
    "a domain of NaN": (lambda: layer(domain=torch.tensor([[-1.0, 1], [NAN, 1]])), "feature 1 .*; wanted"),
    "an endless domain": (lambda: layer(domain=torch.tensor([[-1.0, 1], [-INF, INF]])), "feature 1 .*; wanted"),
    "a grid too fine for the type": (
        lambda: layer(domain=torch.tensor([[-1, 1], [1000, 1000.0001]])),
        "feature 1 .*increasing",
    ),
    "base weights of NaN": (lambda: layer(base_weight=torch.tensor([[1, NAN]])), r"base_weight .* \[0, 1\]; wanted"),
    "coefficients of NaN": (lambda: layer(coefficients=torch.full((1, 2, 6), NAN)), "has 12 numbers .*; wanted none"),
    "an endless bias": (lambda: layer(bias=torch.tensor([INF])), r"bias has 1 numbers .* \[0\]; wanted none"),
    "degree 0": (lambda: layer(degree=0), "degree is 0; wanted 1 to 5"),
    "no noise": (lambda: KAN(KANConfig((2, 1), noise=NAN)), "coefficients has .*; wanted none"),
    "no node": (lambda: KANConfig((2, 0, 1)), r"\(2, 0, 1\); wanted"),
    "no interval": (lambda: KANConfig((2, 1), grid_size=0), "grid_size is 0; wanted"),
    "a domain that is a point": (lambda: KAN(KANConfig((2, 1), domain=(1, 1))), "feature 0 .*; wanted"),
    "no layer": (lambda: KAN.of_layers([]), "no layers; wanted"),
    "a coarser grid": (lambda: refine_grid(network(), 4), "grid_size is 4, layer 0 has 5"),
    "a grid too fine": (
        lambda: refine_grid(KAN.of_layers([layer(domain=torch.tensor([[0.0, 1], [1000, 1000.01]]))]), 3000),
        "feature 1 .*; wanted",
    ),
    "refined NaN": (lambda: refine_grid(broken(), 5), "coefficients has|base_weight has"),
    "other knots, duplicated": (lambda: replace_knots(layer(), knots((5, -0.5))), "feature 1 .*; wanted"),
    "adapted to no interval": (lambda: adapt_grid(network(), good(), grid_size=0), "grid_size is 0; wanted"),
    "a formula of NaN": (lambda: formula(broken(), splines="keep"), "layers.1.base_weight .*; wanted"),
    "lowered NaN": (lambda: lower(broken(), tune_for=()), "layer 1: 1 of 6 .*base_weight"),
    "lowered for other rows": (
        lambda: lower(network(), tune_for=(), training_rows=np.zeros((4, 3), np.float32)),
        r"\(4, 3\).*wanted",
    ),
    "efficient-kan, duplicated knots": (
        lambda: from_efficient_kan(efficient(grid=torch.tensor([[0.0, *range(11)]] * 2))),
        "increasing",
    ),
    "efficient-kan, NaN": (
        lambda: from_efficient_kan(efficient(spline_weight=torch.full((1, 2, 8), NAN))),
        "spline_weight .*finite",
    ),
    "an edge of NaN": (lambda: SymbolicEdge(0, 0, "sin", NAN, 0, 1, 0), "a is nan; wanted"),
    "a fix of no edge": (lambda: fix_symbolic(network(), 0, SymbolicEdge(3, 0, "sin", 1, 0, 1, 0)), "output 3; wanted"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_networks_that_are_none_are_refused(what: str) -> None:
    """What came and what was wanted, before a NaN is in a weight."""
    make, said = REFUSED[what]
    with pytest.raises(ValueError, match=said):
        make()
