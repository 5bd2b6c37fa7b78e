"""The pairs of columns that the manifest tells."""

import torch

from kan_api.v1.manifest_pb2 import Column, Feature, ModelManifest, TargetStatistics
from kan_model import KAN, KANConfig, SymbolicEdge
from tests.kit.models.pairs import network_with_pair
from training.publishing.message.pairs import pair_messages

MANIFEST = ModelManifest(
    columns=[Column(name="age"), Column(name="town", categories=["Bonn", "Ulm"])],
    features=[
        Feature(name="age", column="age"),
        Feature(name="town=Bonn", column="town", category="Bonn"),
        Feature(name="town=Ulm", column="town", category="Ulm"),
    ],
)


def test_words_are_one_column() -> None:
    """Both 0/1 inputs of town are in the product: the pair is age and town."""
    found = [(pair.first, pair.second) for pair in pair_messages(MANIFEST, network_with_pair([0.0, 1.0, 1.0]))]
    assert found == [("age", "town")]


def test_a_column_by_target_has_its_own_name() -> None:
    """As the maps of the report have it; its one feature is called otherwise."""
    columns = [Column(name="age"), Column(name="town", statistics=TargetStatistics(words=["Ulm"], values=[1.0]))]
    features = [Feature(name="age", column="age"), Feature(name="town by target", column="town"), Feature(name="rooms")]
    manifest = ModelManifest(columns=columns, features=features)
    found = [(pair.first, pair.second) for pair in pair_messages(manifest, network_with_pair([0.0, 1.0, 0.0]))]
    assert found == [("age", "town")]


def test_a_formula_has_the_pairs_of_its_network() -> None:
    """Edges of the first layer are functions: their places tell the columns."""
    first, behind = network_with_pair([0.0, 1.0, 1.0]).layers
    places = [(0, 0), (0, 1), (0, 2), (1, 0), (2, 1), (2, 2)]
    edges = [SymbolicEdge(output, input_, "sin", 1.0, 0.0, 1.0, 0.0) for output, input_ in places]
    formula = first.changed(edge_mask=torch.zeros(3, 3), symbolic=edges)
    found = [(pair.first, pair.second) for pair in pair_messages(MANIFEST, KAN.of_layers([formula, behind]))]
    assert found == [("age", "town")]


def test_a_factor_of_several_columns_is_no_pair_of_columns() -> None:
    """Nor has a network of splines behind splines any."""
    assert not list(pair_messages(MANIFEST, network_with_pair([1.0, 1.0, 0.0])))
    assert not list(pair_messages(MANIFEST, KAN(KANConfig((3, 2, 1)))))
