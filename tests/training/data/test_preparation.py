"""The transforms around the network are computed from the training rows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from kan_model.network.transform import Affine, Softmax
from training.data.dataset import prepare
from training.data.preparation import input_transform, new_network, output_transform, samples
from training.errors import DataError
from training.recipe.config import load_recipe


@pytest.mark.parametrize("scaling", ["minmax", "standard", "none"])
def test_training_rows_fill_the_domain_exactly(write_recipe: Callable[..., Path], scaling: str) -> None:
    """The domain of a feature is the range of its training values; only features that vary are scaled."""
    recipe = load_recipe(write_recipe())
    dataset = prepare(recipe)
    transform = input_transform(dataset, scaling)  # type: ignore[arg-type]
    kan = new_network(dataset, recipe, transform)
    x = samples(dataset, dataset.train, transform, output_transform(dataset), kan.dtype).x
    domain = kan.layers[0].domain
    moving = torch.tensor([not same for same in dataset.constant])
    torch.testing.assert_close(x.min(dim=0).values[moving], domain[moving, 0])
    torch.testing.assert_close(x.max(dim=0).values[moving], domain[moving, 1])
    if scaling == "minmax":
        torch.testing.assert_close(domain.abs(), torch.ones_like(domain))
    if scaling == "standard":
        torch.testing.assert_close(x[:, moving].std(dim=0, correction=0), torch.ones(int(moving.sum())))


def test_a_recipe_names_the_random_start(write_recipe: Callable[..., Path]) -> None:
    """Another initialization than the paper's gives other weights, from the same seed; the splines start near 0."""
    recipe = load_recipe(write_recipe())
    section = recipe.network.model_copy(update={"initialization": "power-law"})
    dataset = prepare(recipe)
    transform = input_transform(dataset, "minmax")
    paper, power_law = (
        new_network(dataset, recipe.model_copy(update={"network": network}), transform).layers[0]
        for network in (recipe.network, section)
    )
    assert float(power_law.coefficients.detach().abs().max()) < 0.1 * float(paper.coefficients.detach().abs().max())


def test_a_constant_feature_has_weight_zero(write_recipe: Callable[..., Path]) -> None:
    """A constant feature has no edges: the answer is the same for every value."""
    recipe = load_recipe(write_recipe())
    dataset = prepare(recipe)
    transform = input_transform(dataset, "minmax")
    kan = new_network(dataset, recipe, transform)
    rows = torch.from_numpy(dataset.x[:2].copy()).float()
    rows[1] = rows[0]
    rows[1, [feature.name for feature in dataset.features].index("fixed")] = 1e6
    y = kan(transform(rows))
    torch.testing.assert_close(y[0], y[1], rtol=1e-5, atol=1e-6)


def test_targets_are_scaled_and_come_back(write_recipe: Callable[..., Path]) -> None:
    """The network's targets have mean 0 and standard deviation 1; the output transform reverses the scaling."""
    recipe = load_recipe(write_recipe())
    dataset = prepare(recipe)
    outputs = output_transform(dataset)
    assert isinstance(outputs, Affine)
    y = samples(dataset, dataset.train, input_transform(dataset, "none"), outputs, torch.float64).y
    assert float(y.mean()) == pytest.approx(0, abs=1e-6)
    assert float(y.std(correction=0)) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(outputs(y), dataset.y[dataset.train], rtol=1e-6)


def test_classes_go_through_a_softmax(write_recipe: Callable[..., Path]) -> None:
    """A classifier has one output per class and a softmax."""
    recipe = load_recipe(write_recipe(target="kind", kind="classification"))
    dataset = prepare(recipe)
    assert isinstance(output_transform(dataset), Softmax)
    assert new_network(dataset, recipe, input_transform(dataset, "minmax")).width[-1] == 2


@pytest.mark.parametrize(("factor", "shift"), [(1e32, 0.0), (1.0, 1e9)])
def test_values_that_float32_cannot_tell_apart_are_refused(
    write_recipe: Callable[..., Path], tmp_path: Path, factor: float, shift: float
) -> None:
    """The error names the column and says to rescale it."""
    path = write_recipe()
    lines = (tmp_path / "flowers.csv").read_text().splitlines()
    changed = [",".join([str(i * factor + shift), *line.split(",")[1:]]) for i, line in enumerate(lines[1:])]
    (tmp_path / "flowers.csv").write_text("\n".join([lines[0], *changed]))
    recipe = load_recipe(path)
    with pytest.raises(DataError, match=r'"length" .*rescale'):
        input_transform(prepare(recipe), "minmax")


def test_a_grid_too_fine_for_a_column_without_scaling_is_refused_before_the_fit(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    """Knots that coincide in float32 are refused before the fit, with the column and the remedy."""
    path = write_recipe(grids="[3, 50]")
    table = pd.read_csv(tmp_path / "flowers.csv")
    table["length"] = 1e6 + np.linspace(0, 1.5, len(table))
    table.to_csv(tmp_path / "flowers.csv", index=False)
    recipe = load_recipe(path)
    dataset = prepare(recipe)
    with pytest.raises(DataError, match='"length" is too narrow'):
        new_network(dataset, recipe, input_transform(dataset, "none"))
    new_network(dataset, recipe, input_transform(dataset, "minmax"))


@pytest.mark.parametrize("scaling", ["minmax", "standard", "none"])
def test_a_gap_is_one_more_input_of_the_network(write_recipe: Callable[..., Path], scaling: str) -> None:
    """The features are those without it; one more input behind them differs between a gap and the median itself."""
    recipe = load_recipe(write_recipe(missing="indicator"))
    dataset = prepare(recipe)
    transform = input_transform(dataset, scaling)  # type: ignore[arg-type]
    kan = new_network(dataset, recipe, transform)
    features = dataset.x.shape[1]
    assert (dataset.gaps, kan.width[0]) == ((features - 1,), features + 1)
    rows = torch.from_numpy(dataset.x[:2].copy())
    rows[1] = rows[0] = rows[1]
    rows[0, -1], rows[1, -1] = torch.nan, float(dataset.imputed[-1] or 0)
    told = transform(rows)
    assert torch.equal(told[0, :-1], told[1, :-1])
    assert told[0, -1] > told[1, -1]
    low, high = kan.layers[0].domain[-1].tolist()
    assert (low, high) == pytest.approx((float(told[1, -1]), float(told[0, -1])))
