"""The table of features in a report."""

import pytest

from kan_api.v1.manifest_pb2 import Column, Feature, ModelManifest
from training.report.data_section import feature_table

_NUMBERS = [Feature(name=name, column=name, high=1.0, attribution=0.5) for name in ("age", "bmi")]
_WORDS = [Feature(name=f"site={word}", column="site", high=1.0, attribution=0.25) for word in ("north", "south")]
_SITE = Column(name="site", categories=["north", "south"], attribution=0.125)


@pytest.mark.parametrize(
    ("features", "columns", "is_told"),
    [(_NUMBERS, [], False), ([*_NUMBERS, *_WORDS], [_SITE], True)],
    ids=["numbers", "words"],
)
def test_a_column_of_several_features_has_its_attribution_as_a_whole(
    features: list[Feature], columns: list[Column], is_told: bool
) -> None:
    """Where a column has a 0/1 feature for each word, one word is not drawn alone: it has a number of its own."""
    page = feature_table(ModelManifest(features=features, columns=columns))
    assert "how far the answers to the training rows move" in page
    assert ("The column as a whole" in page) is is_told
    assert ('<td>site</td><td class="number">0.125</td>' in page) is is_told


def test_without_attribution_nothing_is_said_of_it() -> None:
    """A recipe may leave it out."""
    features = [Feature(name=each.name, column="site", high=1.0) for each in _WORDS]
    page = feature_table(ModelManifest(features=features, columns=[Column(name="site", categories=["north", "south"])]))
    assert "site=north" in page
    assert "Attribution" not in page
    assert "as a whole" not in page
