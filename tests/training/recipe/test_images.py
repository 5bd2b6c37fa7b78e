"""What a recipe of images is refused for, and what it is told first."""

from pathlib import Path

import pytest

from tests.kit.models import bars
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


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[image]\nheight = 3\nwidth = 4\n", "", "only with [image]"),
        ("[[network.convolutions]]\nchannels = 2\n", "", "only with [[network.convolutions]]"),
        ("[lowering]", "[prune]\n[lowering]", "[prune]: not with [image]"),
        ("[lowering]", "[symbolic]\n[lowering]", "[symbolic]: not with [image]"),
        ("[lowering]", "[ensemble]\n[lowering]", "[ensemble]: not with [image]"),
        ("[lowering]", "[baseline]\n[lowering]", "[baseline]: not with [image]"),
        ("learning_rate = 0.05", 'optimizer = "levenberg-marquardt"', "levenberg-marquardt"),
        ("learning_rate = 0.05", "smoothness = 0.1", "smoothness: not with [image]"),
        (
            "learning_rate = 0.05",
            'optimizer = "lbfgs"\n[augment]\nshift = 0.1',
            '[augment]: not with [fit] optimizer = "lbfgs"',
        ),
        ("learning_rate = 0.05", 'optimizer = "lbfgs"\nlabel_smoothing = 0.1', "label_smoothing is for adam"),
        ("[fit]", "[augment]\n[fit]", "[augment]: wanted shift, rotation or zoom above 0"),
        ("[fit]", "[augment]\nshift = 1.5\n[fit]", "[augment] shift = 1.5: wanted less than 1.5, half of the image"),
        ('target = "kind"', 'target = "kind"\nby_target = ["p0"]', "[data] by_target: not with [image]"),
        ("tune_for = [1]", 'precision = "int8"', "wanted float32"),
        (
            "width = 4",
            "width = 5",
            "1 × 3 × 5 (channels, height, width) is 15 values, and [data] columns names 12",
        ),
        ("groups = 2", "groups = 3", "number 2: channels is 2 and groups 3"),
        ("stride = 2", 'pool = "max"', '"max": wanted "none" or "average"'),
        ("stride = 2", 'pool = "average"', "pool_size is 2 for 3 × 4 pixels"),
    ],
)
def test_recipes_that_do_not_fit(old: str, new: str, message: str, tmp_path: Path) -> None:
    """What is for flat networks only, and shapes that do not fit, are refused by name before any data is read."""
    text = bars.RECIPE
    if old.startswith("[[network"):
        text = text[: text.index("[[network")] + text[text.index("[fit]") :]
    with pytest.raises(RecipeError) as error:
        parse_recipe(text.replace(old, new), folder=tmp_path, name="bars.toml")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("[augment]\nshift = 1", "[augment]: only with [image]"),
        ("[fit]\nrefit_with_validation = true", "refit_with_validation: only with [image]"),
        ("[fit]\nlabel_smoothing = 0.1", 'label_smoothing needs [task] kind = "classification"'),
    ],
)
def test_what_a_table_cannot_do(more: str, message: str, tmp_path: Path) -> None:
    """Columns that are no picture cannot move; the message names the section that is missing."""
    data = "[data]\npath = 'a.csv'\ncolumns = ['x']\ntarget = 'y'"
    text = f"[model]\nname = 'a'\n{data}\n[task]\nkind = 'regression'\n{more}\n"
    with pytest.raises(RecipeError) as error:
        parse_recipe(text, folder=tmp_path, name="a.toml")
    assert message in str(error.value)
