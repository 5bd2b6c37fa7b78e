"""What a recipe of images is told first."""

from pathlib import Path

import pytest

from training.data.dataset import prepare_table
from training.data.images import image_transform, new_image_network
from training.data.source import load_source
from training.errors import DataError, RecipeError
from training.recipe.config import parse_recipe
from training.recipe.images import SOURCE_COLUMNS
from training.recipe.sections import DataSection

RECIPE = """
[model]
name = "digits"
[data]
source = "sklearn:digits"
[task]
kind = "classification"
[image]
height = {height}
width = {width}
[network]
hidden = []
[[network.convolutions]]
channels = 4
pool = "average"
"""


@pytest.mark.parametrize("source", SOURCE_COLUMNS)
def test_the_columns_of_each_source_are_known(source: str) -> None:
    """Before a source is loaded, its number of columns is told as it is."""
    _, columns, _ = load_source(DataSection.model_validate({"source": source}))
    assert len(columns) == SOURCE_COLUMNS[source]


def test_a_wrong_height_is_told_as_a_wrong_number_of_values() -> None:
    """9 × 8 does not fit the pooling either, but what is wrong is 72 values for 64 columns."""
    with pytest.raises(RecipeError) as refused:
        parse_recipe(RECIPE.format(height=9, width=8), folder=Path(), name="r.toml")
    assert str(refused.value) == (
        "r.toml: [image] of 1 × 9 × 8 (channels, height, width) is 72 values, "
        'and [data] source = "sklearn:digits" has 64 columns; wanted as many columns'
    )


def test_then_the_convolutions_are_told() -> None:
    """With as many values as columns, what the pooling cannot divide is the mistake."""
    with pytest.raises(RecipeError, match="number 1: pool_size is 2 for 1 × 64 pixels"):
        parse_recipe(RECIPE.format(height=1, width=64), folder=Path(), name="r.toml")


def test_an_image_network_is_refused_by_its_numbers() -> None:
    """The equal flat network of 250 channels is small enough for one answer, but not for ten.

    64 pixels feed 64 · 250 nodes and these the answers, by splines of 5 + 3 coefficients.
    """
    text = RECIPE.format(height=8, width=8).replace("channels = 4\npool", "channels = 250\n#")
    recipe = parse_recipe(text, folder=Path(), name="r.toml")
    dataset = prepare_table(recipe, *load_source(recipe.data))
    inputs = image_transform(dataset, recipe.inputs.scaling, (1, 8, 8))
    with pytest.raises(DataError, match=f"{(64 * 16000 + 16000 * 10) * 8:,} coefficients"):
        new_image_network(dataset, recipe, inputs)
