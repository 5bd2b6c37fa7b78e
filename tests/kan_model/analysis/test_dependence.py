"""How much answers depend on inputs, against Sobol indices on paper and against whole networks on mixed rows."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kan_model import KAN, KANConfig, attribute, mean_network
from kan_model.analysis import dependence as module
from kan_model.analysis.dependence import dependence
from kan_model.network.products import Products
from kan_model.network.symbolic_edge import SymbolicEdge
from tests.kit.models.formula_layers import formula_layer, linear

MakeKAN = Callable[..., KAN]


def uniform(rows: int, inputs: int, seed: int = 0) -> torch.Tensor:
    """Rows in [-1, 1]."""
    return torch.rand(rows, inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def slowly(kan: KAN, x: torch.Tensor, groups: Sequence[int] | None = None) -> NDArray[np.float64]:
    """By the definition: the whole network on every row with the inputs of every other row."""
    one, other = (~torch.eye(len(x), dtype=torch.bool)).nonzero().T
    group_of = torch.arange(x.shape[1]) if groups is None else torch.tensor(groups)
    found = []
    with torch.no_grad():
        whole = (kan(x[other]) - kan(x[one])).square().sum()
        for group in range(int(group_of.max()) + 1):
            mixed = torch.where(group_of == group, x[other], x[one])
            found.append(float(((kan(mixed) - kan(x[one])).square().sum() / whole).sqrt()))
    return np.array(found)


def all_pairs(rows: int) -> int:
    """So many that each row is paired with every other."""
    return rows * (rows - 1)


def sum_and_product() -> KAN:
    """x1 + x1·x2 of three inputs, as the sum of a node that adds and one that multiplies."""
    edges = [linear(0, 0, 1.0), linear(1, 0, 1.0), linear(2, 1, 1.0)]
    first = formula_layer(3, 3, edges, products=Products(((0,), (1, 2))))
    return KAN.of_layers([first, formula_layer(2, 1, [linear(0, 0, 1.0), linear(0, 1, 1.0)])])


def test_it_is_the_root_of_the_total_sobol_index() -> None:
    """Of x1 + x1·x2, uniform on [-1, 1], the total indices are 1 and 1/4; an input that nothing reads has exactly 0."""
    got = dependence(sum_and_product(), uniform(20_000, 3), pairs=100_000)
    np.testing.assert_allclose(got[:2], [1, 0.5], rtol=0.02)
    assert got[2] == 0


def test_of_a_sum_of_curves_it_is_the_spread_of_the_curve(make_kan: MakeKAN) -> None:
    """With all pairs of rows it is std(curves) / std(answers), by NumPy, where the inputs are independent: a grid."""
    kan = make_kan((2, 2))
    axis = torch.linspace(-1, 1, 6, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        curves, answers = kan.layers[0].edge_outputs(x).numpy(), kan(x).numpy()
    spread = np.sqrt(answers.var(axis=0).sum())
    wanted = np.sqrt(curves.var(axis=0).sum(axis=0)) / spread
    np.testing.assert_allclose(dependence(kan, x, pairs=all_pairs(36)), wanted, rtol=1e-10)


def networks(make_kan: MakeKAN) -> dict[str, KAN]:
    """Of three inputs: all kinds of nodes and edges."""
    few = make_kan((3, 6, (2, 1)), uneven=True)
    first, second = few.layers
    mask = torch.zeros_like(first.edge_mask)
    for input_ in range(3):
        mask[[2 * input_, (2 * input_ + 1) % 6], input_] = 1
    first = first.changed(edge_mask=mask).with_symbolic([SymbolicEdge(4, 2, "sin", 2.0, 0.3, 0.5, -1.0)])
    second = second.changed(bias=torch.arange(4, dtype=torch.float64))
    return {
        "plain": make_kan((3, 4, 2)),
        "deep": make_kan((3, 4, 3, 2)),
        "one layer": make_kan((3, 2)),
        "one layer of products": make_kan((3, (1, 1))),
        "products": make_kan((3, (2, 2), (1, 1))),
        "few nodes read an input": KAN.of_layers([first, second]),
        "ensemble": mean_network([make_kan((3, 4, 2), seed=seed) for seed in range(3)]),
    }


@pytest.mark.parametrize("groups", [None, (0, 1, 0)])
@pytest.mark.parametrize(
    "kind",
    ["plain", "deep", "one layer", "one layer of products", "products", "few nodes read an input", "ensemble"],
)
def test_it_is_that_of_the_whole_network_on_mixed_rows(
    make_kan: MakeKAN, kind: str, groups: tuple[int, ...] | None
) -> None:
    """Only the layers behind the moved sums are computed; the result is that of calls of the network."""
    kan, x = networks(make_kan)[kind], 1.5 * uniform(9, 3)
    got = dependence(kan, x, groups=groups, pairs=all_pairs(9))
    np.testing.assert_allclose(got, slowly(kan, x, groups), rtol=1e-9)


def test_what_cancels_behind_the_hidden_nodes_does_not_count() -> None:
    """(x + 5·z) - 5·z is x: z moves no answer, although shares of standard deviations give it ten times x's."""
    first = formula_layer(2, 2, [linear(0, 0, 1.0), linear(0, 1, 5.0), linear(1, 1, 5.0)])
    kan = KAN.of_layers([first, formula_layer(2, 1, [linear(0, 0, 1.0), linear(0, 1, -1.0)])])
    x = uniform(500, 2)
    assert dependence(kan, x).tolist() == pytest.approx([1, 0], abs=1e-12)
    assert dependence(kan, x)[1] == 0
    assert attribute(kan, x).inputs[1] > 9


def test_inputs_of_a_column_of_words_are_drawn_together() -> None:
    """0/1 inputs with the same edges add up to a constant: no word moves the answer, one input alone would."""
    words = KAN.of_layers([formula_layer(3, 1, [linear(0, 0, 2.0), linear(0, 1, 2.0), linear(0, 2, 1.0)])])
    is_first = (torch.arange(100) % 2).double()
    rows = torch.stack([is_first, 1 - is_first, uniform(100, 1)[:, 0]], dim=1)
    np.testing.assert_allclose(dependence(words, rows, groups=(0, 0, 1)), [0, 1], atol=1e-12)
    assert dependence(words, rows).min() > 0.5


def test_what_all_classes_gain_alike_does_not_count() -> None:
    """The same edge to the scores of all classes changes no probability."""
    edges = [linear(0, 0, 1.0), linear(1, 0, -1.0), *(linear(output, 1, 3.0) for output in range(3))]
    kan, x = KAN.of_layers([formula_layer(2, 3, edges)]), uniform(100, 2)
    np.testing.assert_allclose(dependence(kan, x, of_classes=True), [1, 0], atol=1e-12)
    assert dependence(kan, x)[1] > 0.9


def test_outputs_may_be_scaled_and_shifted_together(make_kan: MakeKAN) -> None:
    """1e200 times as much, or 1e-200, is the same share; a constant network has 0."""
    kan, x = make_kan((3, 2)), uniform(40, 3)
    wanted = dependence(kan, x)
    (layer,) = kan.layers
    for factor in (-1e200, 1e-200):
        parts = {name: getattr(layer, name).detach() * factor for name in ("base_weight", "coefficients")}
        bias = torch.tensor([factor, -factor], dtype=torch.float64)
        np.testing.assert_allclose(dependence(KAN.of_layers([layer.changed(**parts, bias=bias)]), x), wanted, rtol=1e-9)
    constant = KAN.of_layers([formula_layer(3, 1, [linear(0, 0, 0.0, 1 / 3)])])
    assert dependence(constant, x).tolist() == dependence(KAN.of_layers([formula_layer(3, 1, [])]), x).tolist()
    assert dependence(constant, x).tolist() == [0, 0, 0]


def test_the_same_seed_gives_the_same(make_kan: MakeKAN) -> None:
    """The same seed gives the same bits; another draws other pairs, and another one differs by chance only."""
    kan, x = make_kan(), uniform(500, 3)
    np.testing.assert_array_equal(dependence(kan, x, seed=1), dependence(kan, x, seed=1))
    assert not np.array_equal(dependence(kan, x, seed=1), dependence(kan, x, seed=2))
    np.testing.assert_allclose(dependence(kan, x, seed=1), dependence(kan, x, seed=2), rtol=0.1)


@pytest.mark.parametrize(("work", "pairs"), [(1, 64), (2**23, 327), (2**32, 1000)])
def test_a_large_network_is_asked_on_fewer_rows(monkeypatch: pytest.MonkeyPatch, work: int, pairs: int) -> None:
    """Of 20 inputs, a pair costs 20·(8·(8 + 16) + 64·(1 + 16)) multiplications; at least 64 pairs are answered."""
    monkeypatch.setattr(module, "_MOST_WORK", work)
    kan, answered = KAN(KANConfig((20, 8, 1))), list[int]()
    kan.layers[1].register_forward_pre_hook(lambda _, inputs: answered.append(len(inputs[0])))
    got = dependence(kan, uniform(500, 20), pairs=1000)
    assert sum(answered) == 20 * pairs
    assert (got > 0).all()


def test_a_network_in_float32_is_computed_in_float64_and_left_as_it_is(make_kan: MakeKAN) -> None:
    """A float32 network keeps its numbers and its type."""
    kan = make_kan(dtype=torch.float32)
    x = uniform(50, 3).float()
    got = dependence(kan, x)
    assert got.dtype == np.float64
    assert kan.dtype == torch.float32
    np.testing.assert_array_equal(got, dependence(kan.double(), x.double()))


def test_mixed_rows_without_an_answer_do_not_count() -> None:
    """Of log(y - x) on (0, 1) and (2, 4): x = 2 with y = 1 has no answer, x = 0 with y = 4 moves one by log 2."""
    first = formula_layer(2, 1, [linear(0, 0, -1.0), linear(0, 1, 1.0)])
    kan = KAN.of_layers([first, formula_layer(1, 1, [SymbolicEdge(0, 0, "log", 1, 0, 1, 0)])])
    np.testing.assert_allclose(dependence(kan, torch.tensor([[0.0, 1.0], [2.0, 4.0]])), [1, 2])
    narrow = KAN.of_layers([first, formula_layer(1, 1, [SymbolicEdge(0, 0, "arcsin", 1, 0, 1, 0)])])
    with pytest.raises(ValueError, match="no row with an input of another row has a finite answer"):
        dependence(narrow, torch.tensor([[0.0, 1.0], [9.0, 9.5]]))


def test_what_cannot_be_asked_is_refused(make_kan: MakeKAN) -> None:
    """A single row, rows with NaN, a network that is not finite on the rows, groups that are not of the inputs."""
    kan = make_kan()
    with pytest.raises(ValueError, match=r"\(1, 3\)"):
        dependence(kan, torch.zeros(1, 3))
    with pytest.raises(ValueError, match="1 of 2 rows"):
        dependence(kan, torch.tensor([[0, torch.nan, 0], [0, 0, 0]]))
    with pytest.raises(ValueError, match=r"groups are .* one for each of 3 inputs"):
        dependence(kan, torch.zeros(2, 3), groups=(0, 2, 2))
    log = KAN.of_layers([kan.layers[0].with_symbolic([SymbolicEdge(1, 2, "log", 1, 0, 1, 0)]), kan.layers[1]])
    with pytest.raises(ValueError, match=r"input 2 .*-inf"):
        dependence(log, torch.zeros(2, 3))
