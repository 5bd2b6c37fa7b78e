"""Scores against formulas, NumPy and pykan."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch

from kan_model import KAN, KANConfig
from kan_model.analysis.attribution import attribute, edge_statistics, interactions
from kan_model.network.layer import Outside
from kan_model.network.symbolic_edge import SymbolicEdge
from tests.kit.models.formula_layers import formula_layer, linear, square


def product_and_sum() -> KAN:
    """Two outputs: x·y + z, as ((x + y)² - (x - y)²) / 4 + z, and the constant 3."""
    first = formula_layer(3, 3, [linear(0, 0, 1), linear(0, 1, 1), linear(1, 0, 1), linear(1, 1, -1), linear(2, 2, 1)])
    second = formula_layer(3, 2, [square(0, 0, 0.25), square(0, 1, -0.25), linear(0, 2, 1)], [0.0, 3.0])
    return KAN.of_layers([first, second])


def uniform(rows: int, inputs: int, seed: int = 0) -> torch.Tensor:
    """Rows in [-1, 1]."""
    return torch.rand(rows, inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.slow
@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("uneven", [False, True])
def test_statistics_are_numpys(make_kan: Callable[..., KAN], outside: Outside, uneven: bool) -> None:
    """Statistics of edges and sums equal NumPy's, over several chunks of rows and with all kinds of edges."""
    kan = make_kan((3, 4, 2), outside=outside, uneven=uneven, degree=2)
    kan.layers[0].edge_mask[0, 1] = 0
    symbolic = kan.layers[0].with_symbolic([SymbolicEdge(1, 2, "sin", 2.0, 0.3, 0.5, -1.0)])
    kan = KAN.of_layers([symbolic.changed(bias=torch.ones(4, dtype=torch.float64)), kan.layers[1]])
    x = torch.randn(70_000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    statistics = edge_statistics(kan, x)
    with torch.no_grad():
        for layer, got in zip(kan.layers, statistics, strict=True):
            edges, x = layer.edge_outputs(x).numpy(), layer(x)
            np.testing.assert_allclose(got.mean, edges.mean(axis=0), rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(got.l1, np.abs(edges).mean(axis=0), rtol=1e-10)
            np.testing.assert_allclose(got.std, edges.std(axis=0), rtol=1e-10)
            np.testing.assert_allclose(got.sum_std, x.numpy().std(axis=0), rtol=1e-10)
    assert statistics[0].l1[0, 1] == statistics[0].std[0, 1] == 0


def test_large_means_take_nothing_from_the_standard_deviation() -> None:
    """X + 1e8 has the standard deviation of x; a constant, however large, has 0."""
    kan = KAN.of_layers([formula_layer(2, 1, [linear(0, 0, 1.0, 1e8), linear(0, 1, 0.0, 1e8 / 3)])])
    x = uniform(300_000, 2)
    (got,) = edge_statistics(kan, x)
    assert got.std[0, 0] == pytest.approx(x[:, 0].std(correction=0).item(), rel=1e-6)
    assert got.std[0, 1] == 0


def test_scores_follow_the_contributions_back(make_kan: Callable[..., KAN]) -> None:
    """An edge's score is its node's score · std(edge) / std(node); a node's is the sum over the edges that read it."""
    kan = make_kan((3, 4, 2))
    kan.layers[0].edge_mask[2] = 0
    x = torch.randn(500, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    got = attribute(kan, x)
    scores = np.full(2, 0.5)
    np.testing.assert_allclose(got.nodes[2], scores)
    with torch.no_grad():
        inputs = [x, kan.layers[0](x)]
        for index in (1, 0):
            edges = kan.layers[index].edge_outputs(inputs[index]).numpy()
            below = np.zeros(edges.shape[2])
            for o in range(edges.shape[1]):
                node = edges[:, o].sum(axis=1)
                for i in range(edges.shape[2]):
                    score = scores[o] * edges[:, o, i].std() / node.std() if index or o != 2 else 0
                    assert got.edges[index][o, i] == pytest.approx(score, rel=1e-10, abs=1e-15)
                    below[i] += score
            scores = below
            np.testing.assert_allclose(got.nodes[index], scores, rtol=1e-10, atol=1e-15)
    assert got.inputs is got.nodes[0]
    # Hidden node 2 is fed by no edge: it is constant.
    assert got.nodes[1][2] == 0


def test_scores_are_pykans(make_kan: Callable[..., KAN]) -> None:
    """Scores equal those of pykan 0.2.8, which adds 1e-4 to the nodes' standard deviations (about 1 here)."""
    pytest.importorskip("kan")
    kan = make_kan((3, 4, 2), outside="decay")
    x = torch.randn(500, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from kan import MultKAN

        theirs = MultKAN([3, 4, 2], grid=5, k=3, seed=0, auto_save=False).double()
        for layer, ours in zip(theirs.act_fun, kan.layers, strict=True):
            layer.grid.data = ours.all_knots()
            layer.coef.data = ours.coefficients.detach().permute(1, 0, 2).contiguous()
            layer.scale_base.data = ours.base_weight.detach().T.contiguous()
            layer.scale_sp.data = torch.ones_like(layer.scale_base)
        theirs(x)
        theirs.attribute()
    got = attribute(kan, x)
    for ours_, wanted in zip((*got.nodes, *got.edges), (*theirs.node_scores, *theirs.edge_scores), strict=True):
        np.testing.assert_allclose(ours_, wanted.detach(), rtol=1e-3)


def test_outputs_may_be_scaled_and_shifted(make_kan: Callable[..., KAN]) -> None:
    """Scaling and shifting each output by its own numbers leaves the scores unchanged."""
    kan = make_kan()
    x = torch.randn(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    factor = torch.tensor([1e-6, -1e6], dtype=torch.float64)
    last = kan.layers[1]
    scaled = last.changed(
        base_weight=last.base_weight.detach() * factor[:, None],
        coefficients=last.coefficients.detach() * factor[:, None, None],
        bias=torch.tensor([5.0, -1e3], dtype=torch.float64),
    )
    before, after = attribute(kan, x), attribute(KAN.of_layers([kan.layers[0], scaled]), x)
    for one, other in zip((*before.nodes, *before.edges), (*after.nodes, *after.edges), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_each_output_can_be_explained_alone(make_kan: Callable[..., KAN]) -> None:
    """One output alone has the score 1; the mean over the outputs is the score of all outputs."""
    kan = make_kan()
    x = torch.randn(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    alone = [attribute(kan, x, output=k) for k in range(2)]
    assert alone[1].nodes[2].tolist() == [0, 1]
    assert alone[1].edges[1][0].tolist() == [0, 0, 0, 0]
    for level, wanted in enumerate(attribute(kan, x).nodes):
        np.testing.assert_allclose((alone[0].nodes[level] + alone[1].nodes[level]) / 2, wanted, rtol=1e-12)


def test_a_sum_of_independent_inputs_has_known_scores() -> None:
    """2·x + y, with x and y of the same distribution, has the scores 2/√5 and 1/√5; an input without edges has 0."""
    kan = KAN.of_layers([formula_layer(3, 1, [linear(0, 0, 2.0), linear(0, 1, 1.0)])])
    np.testing.assert_allclose(attribute(kan, uniform(100_000, 3)).inputs, [2 / 5**0.5, 1 / 5**0.5, 0], rtol=0.01)


def test_inputs_of_a_group_are_added_up_row_by_row(make_kan: Callable[..., KAN]) -> None:
    """A group's edge is the sum of its inputs' edges; 0/1 inputs whose edges are equal say nothing together."""
    kan = make_kan((3, 4, 2))
    x = torch.randn(500, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    got, alone = attribute(kan, x, groups=(0, 1, 0)), attribute(kan, x)
    with torch.no_grad():
        edges = kan.layers[0].edge_outputs(x).numpy()
    share = alone.nodes[1] / edges.sum(axis=2).std(axis=0)
    np.testing.assert_allclose(got.edges[0][:, 0], (edges[..., 0] + edges[..., 2]).std(axis=0) * share, rtol=1e-10)
    np.testing.assert_allclose(got.edges[0][:, 1], alone.edges[0][:, 1], rtol=1e-10)
    np.testing.assert_array_equal(got.nodes[1], alone.nodes[1])
    words = KAN.of_layers([formula_layer(3, 1, [linear(0, 0, 2.0), linear(0, 1, 2.0), linear(0, 2, 1.0)])])
    is_first = torch.arange(100, dtype=torch.float64) % 2
    rows = torch.stack([is_first, 1 - is_first, x[:100, 2]], dim=1)
    np.testing.assert_allclose(attribute(words, rows, groups=(0, 0, 1)).inputs, [0, 1], atol=1e-10)
    assert attribute(words, rows).inputs.min() > 0.5


def test_inputs_of_a_group_are_drawn_together() -> None:
    """In (x + y)·z, uniform around 0, the group of x and y has all of the variance with z, each alone a half of it."""
    first = formula_layer(3, 2, [linear(0, 0, 1.0), linear(0, 1, 1.0), linear(1, 2, 1.0)])
    half = [square(0, 0, 0.25), square(0, 1, -0.25)]
    turned = formula_layer(2, 2, [linear(0, 0, 1.0), linear(0, 1, 1.0), linear(1, 0, 1.0), linear(1, 1, -1.0)])
    kan = KAN.of_layers([first, turned, formula_layer(2, 1, half)])
    together = interactions(kan, uniform(20_000, 3), groups=(0, 0, 1))
    assert together[0, 1] == pytest.approx(1, rel=0.04)
    assert interactions(kan, uniform(20_000, 3))[0, 2] == pytest.approx(0.5, rel=0.04)


@pytest.mark.parametrize("groups", [(0, 1), (0, 2, 2), (1, 1, 2), (0, 0, -1)])
def test_wrong_groups_are_refused(make_kan: Callable[..., KAN], groups: tuple[int, ...]) -> None:
    """One number from 0 on for each input, without a gap."""
    for score in (attribute, interactions):
        with pytest.raises(ValueError, match=r"groups are .* one for each of 3 inputs"):
            score(make_kan((3, 2)), torch.zeros(2, 3), groups=groups)


def test_constant_nodes_give_no_score_and_no_nan() -> None:
    """An output without edges, and a node whose edges cancel each other up to rounding, give no score and no NaN."""
    first = formula_layer(2, 2, [linear(0, 0, 0.1), linear(0, 0 + 1, -0.1), linear(1, 0, 1.0)])
    second = formula_layer(2, 2, [linear(0, 0, 1.0), linear(0, 1, 1.0)], [0.0, 7.0])
    x = uniform(100, 1).expand(100, 2).contiguous()
    got = attribute(KAN.of_layers([first, second]), x)
    assert got.edges[1][1].tolist() == [0, 0]
    assert got.nodes[1].tolist() == [0, 0.5]
    assert got.edges[0][0].tolist() == [0, 0]
    assert got.inputs.tolist() == [0.5, 0]
    nothing = attribute(KAN.of_layers([formula_layer(2, 1, [])]), x)
    assert nothing.inputs.tolist() == [0, 0]


def test_a_network_in_float32_is_scored_in_float64_and_left_as_it_is(make_kan: Callable[..., KAN]) -> None:
    """A float32 network keeps its numbers and its type."""
    kan = make_kan(dtype=torch.float32)
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    got = attribute(kan, x)
    assert got.inputs.dtype == np.float64
    assert kan.dtype == torch.float32
    np.testing.assert_array_equal(got.inputs, attribute(kan.double(), x.double()).inputs)


def test_only_inputs_that_are_multiplied_interact() -> None:
    """x·y + z, uniform and independent: the product has 1/9 of the variance 4/9; the constant output counts 0."""
    got = interactions(product_and_sum(), uniform(20_000, 3))
    assert got[0, 1] == pytest.approx(0.25 / 2, rel=0.04)
    np.testing.assert_array_equal(got, got.T)
    np.testing.assert_allclose(got[[0, 1, 2, 0, 1], [0, 1, 2, 2, 2]], 0, atol=1e-25)


def test_a_third_input_shares_in_the_interaction() -> None:
    """In (x + y + z)² each pair contributes 4/9 to the variance 3·4/45 + 3·4/9 = 8/5."""
    first = formula_layer(3, 1, [linear(0, i, 1.0) for i in range(3)])
    got = interactions(KAN.of_layers([first, formula_layer(1, 1, [square(0, 0, 1.0)])]), uniform(20_000, 3))
    np.testing.assert_allclose(got[np.triu_indices(3, 1)], 5 / 18, rtol=0.04)


@pytest.mark.parametrize("width", [(4, 2), (4, 1, 1)])
def test_an_additive_network_has_no_interactions(make_kan: Callable[..., KAN], width: tuple[int, ...]) -> None:
    """A network of one layer, or with a linear second layer, has no interactions."""
    kan = make_kan(width, dtype=torch.float32)
    if len(width) > 2:
        kan = KAN.of_layers([kan.layers[0], formula_layer(1, 1, [linear(0, 0, 2.0)])])
    got = interactions(kan, torch.randn(200, 4, generator=torch.Generator().manual_seed(0)))
    np.testing.assert_allclose(got, 0, atol=1e-25)


def test_interactions_are_those_of_the_definition(make_kan: Callable[..., KAN]) -> None:
    """With two rows, each the other's partner, the result is the mixed second difference of four network calls."""
    kan = make_kan((3, 4, 2))
    x = uniform(2, 3)
    with torch.no_grad():
        answers = kan(x).numpy()
        for i, j in ((0, 1), (0, 2), (1, 2)):
            one, other, both = x.clone(), x.clone(), x.clone()
            one[:, i], other[:, j] = x.flip(0)[:, i], x.flip(0)[:, j]
            both[:, [i, j]] = x.flip(0)[:, [i, j]]
            difference = answers - kan(one).numpy() - kan(other).numpy() + kan(both).numpy()
            wanted = ((difference**2).mean(axis=0) / 4 / answers.var(axis=0)).mean()
            assert interactions(kan, x)[i, j] == pytest.approx(wanted, rel=1e-9)


def test_the_same_seed_gives_the_same(make_kan: Callable[..., KAN]) -> None:
    """The same seed gives the same bits; another seed draws other rows."""
    kan, x = make_kan(), uniform(50, 3)
    np.testing.assert_array_equal(interactions(kan, x, seed=1), interactions(kan, x, seed=1))
    assert not np.array_equal(interactions(kan, x, seed=1), interactions(kan, x, seed=2))


def test_what_cannot_be_scored_is_refused(make_kan: Callable[..., KAN]) -> None:
    """Rows with NaN, a single row for a standard deviation, and an output that does not exist are refused."""
    kan = make_kan()
    for function in (attribute, interactions):
        with pytest.raises(ValueError, match=r"\(1, 3\)"):
            function(kan, torch.zeros(1, 3))
    for any_function in (attribute, interactions, edge_statistics):
        with pytest.raises(ValueError, match="1 of 2 rows"):
            any_function(kan, torch.tensor([[0, torch.nan, 0], [0, 0, 0]]))
    for output in (-1, 2):
        with pytest.raises(ValueError, match=f"output is {output}"):
            attribute(kan, torch.zeros(2, 3), output=output)
    log = KAN.of_layers([kan.layers[0].with_symbolic([SymbolicEdge(1, 2, "log", 1, 0, 1, 0)]), kan.layers[1]])
    with pytest.raises(ValueError, match=r"input 2 .*-inf"):
        attribute(log, torch.zeros(2, 3))
    # The logarithm of y - x, and a row in which x is larger than y only once they are mixed.
    first = formula_layer(2, 1, [linear(0, 0, -1.0), linear(0, 1, 1.0)])
    mixed = KAN.of_layers([first, formula_layer(1, 1, [SymbolicEdge(0, 0, "log", 1, 0, 1, 0)])])
    with pytest.raises(ValueError, match="inputs of other rows"):
        interactions(mixed, torch.tensor([[0.0, 1.0], [2.0, 3.0]]))


def test_a_wide_network_is_scored_in_chunks() -> None:
    """A row with more numbers than a chunk is computed alone, with the same scores."""
    kan = KAN(KANConfig((300, 4000, 1), grid_size=1, degree=1))
    got = attribute(kan, torch.randn(3, 300, generator=torch.Generator().manual_seed(0)))
    assert np.isfinite(got.inputs).all()
    assert (got.inputs > 0).all()
