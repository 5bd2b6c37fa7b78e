"""The maps of the pairs of an additive model: they are what the answers are beyond the curves."""

import numpy as np
import torch

from kan_api.v1.manifest_pb2 import TASK_REGRESSION, Column, Feature, ModelManifest
from kan_model import KAN, KANLayer, SymbolicEdge
from kan_model.analysis.curve_sum import read_curve_sum
from kan_model.network.products import Products
from kan_model.network.transform import Affine, InputTransform
from training.publishing.export import Trained
from training.publishing.manifest import predict
from training.report.effects.curves import curves_section, is_sum_of_curves
from training.report.effects.map_pictures import draw_maps
from training.report.effects.maps import pair_maps
from training.report.effects.shown_columns import shown_columns

MANIFEST = ModelManifest(
    task=TASK_REGRESSION,
    target="y",
    columns=[Column(name="a"), Column(name="b"), Column(name="town", categories=["Bonn", "Ulm"])],
    features=[
        Feature(name="a", column="a"),
        Feature(name="b", column="b"),
        *(Feature(name=f"town={word}", column="town", category=word) for word in ("Bonn", "Ulm")),
    ],
)
WAYS = np.array([[10.0]])


def _trained() -> Trained:
    """Curves of two numbers and two words, a product of the numbers, and one of b and the words."""
    generator = torch.Generator().manual_seed(0)
    factors = [[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 1.0]]
    first = KANLayer(
        torch.zeros(5, 4, dtype=torch.float64),
        torch.randn(5, 4, 8, generator=generator, dtype=torch.float64),
        degree=3,
        outside="clamp",
        domain=torch.tensor([[-1.0, 1.0]] * 4, dtype=torch.float64),
        edge_mask=torch.tensor([[1.0] * 4, *factors], dtype=torch.float64),
        bias=torch.tensor([0.3, 0, 0, 0, 0], dtype=torch.float64),
        products=Products(((0,), (1, 2), (3, 4))),
    )
    behind = KANLayer(
        torch.zeros(1, 3, dtype=torch.float64),
        torch.zeros(1, 3, 4, dtype=torch.float64),
        degree=3,
        outside="clamp",
        domain=torch.tensor([[-1.0, 1.0]] * 3, dtype=torch.float64),
        symbolic=[SymbolicEdge(0, node, "x", 1.0, 0.0, 1.0, 0.0) for node in range(3)],
    )
    center, scale = np.array([5.0, 0.0, 0.5, 0.5], np.float32), np.array([0.2, 1.0, 2.0, 2.0], np.float32)
    outputs = Affine(np.array([50.0], np.float32), np.array([10.0], np.float32))
    return Trained(KAN.of_layers([first, behind]), InputTransform(center, scale), outputs)


def _rows() -> np.ndarray:
    random = np.random.default_rng(1)
    town = random.integers(0, 2, 300)
    numbers = [random.uniform(0, 10, 300), random.uniform(-1, 1, 300)]
    return np.column_stack([*numbers, town == 0, town == 1]).astype(np.float64)


def test_a_map_is_what_two_columns_do_beyond_their_sum() -> None:
    """The mixed difference of four answers is that of four places of the map."""
    trained, raw = _trained(), _rows()
    network = read_curve_sum(trained.kan)
    assert network is not None
    maps = pair_maps(trained, network, raw, shown_columns(MANIFEST, trained, raw), {}, WAYS)
    assert {frozenset((each.first.name, each.second.name)) for each in maps} == {
        frozenset("ab"),
        frozenset(("b", "town")),
    }
    numbers = next(each for each in maps if "town" not in (each.first.name, each.second.name))
    asked = np.repeat(raw[:1], 4, axis=0)
    asked[:, [0, 1]] = [[a, b] for a in numbers.first.values[[3, 30], 0] for b in numbers.second.values[[5, 20], 0]]
    answers = predict(trained, asked)[:, 0].reshape(2, 2)
    cells = numbers.values[np.ix_([3, 30], [5, 20])][..., 0]
    found = (cells[1] - cells[0])[1] - (cells[1] - cells[0])[0]
    np.testing.assert_allclose((answers[1] - answers[0])[1] - (answers[1] - answers[0])[0], found, atol=1e-3)
    words = next(each for each in maps if each is not numbers)
    axis = words.first if words.first.words else words.second
    assert sorted(axis.words) == ["Bonn", "Ulm"]
    assert words.dots is None
    assert maps[0].spread >= maps[1].spread


def test_the_section_draws_every_pair() -> None:
    """One picture of curves and one of maps, with the names of both columns at each map."""
    trained, raw = _trained(), _rows()
    columns = shown_columns(MANIFEST, trained, raw)
    assert is_sum_of_curves(trained, columns)
    page = "".join(curves_section(MANIFEST, trained, raw, columns, {}))
    assert "plus the sum of these curves and the maps below: a curve for each column, a map for each pair" in page
    assert page.count("<img") == 2
    network = read_curve_sum(trained.kan)
    assert network is not None
    maps = pair_maps(trained, network, raw, columns, {}, WAYS)
    axes = draw_maps(maps, "y", 0, 1.0).axes[:2]
    assert [(each.get_xlabel(), each.get_ylabel()) for each in axes] == [
        (one.first.name, one.second.name) for one in maps
    ]


def test_a_factor_of_two_columns_is_not_drawn_as_a_sum() -> None:
    """Then the network is described as any other."""
    trained = _trained()
    mask = trained.kan.layers[0].edge_mask.clone()
    mask[1] = 1.0
    kan = KAN.of_layers([trained.kan.layers[0].changed(edge_mask=mask), trained.kan.layers[1]])
    other = Trained(kan, trained.inputs, trained.outputs)
    assert not is_sum_of_curves(other, shown_columns(MANIFEST, other, _rows()))
