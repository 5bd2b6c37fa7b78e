"""A version that learns on, and the rows that it learns from: what must fit together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION
from training.data.dataset import Dataset, classes_without_rows, prepare_table
from training.data.encoding import Column, Numbers, columns_of, feature_block
from training.data.source import load_source
from training.data.table import Table, read_table
from training.errors import DataError, quoted, quoted_list
from training.publishing.message.columns import columns_of_manifest
from training.publishing.version import Version, VersionError, read_newest
from training.recipe.config import Recipe


@dataclass(frozen=True)
class Start:
    """What a continuation begins with.

    Attributes:
        version: That learns on.
        dataset: The new rows; its classes are the version's, in the version's order.
        old_rows: ``[rows, features]``, raw, NaN where missing; None where the recipe names none.
    """

    version: Version
    dataset: Dataset
    old_rows: Numbers | None


def read_start(recipe: Recipe, models: Path) -> Start:
    """Read the version and both tables.

    Args:
        recipe: With ``[model] continue_from``.
        models: The repository that is published to: the version must be of it.

    Raises:
        VersionError: the version is not there, not whole, not the newest, or of another model, repository, task, target
            or table.
        DataError: rows that cannot be read, of a class that the version lacks, or with a missing cell that it does not
            impute.
    """
    assert recipe.model.continue_from is not None
    version = read_newest(recipe.model.continue_from, "continue from that one")
    _check_place(version, recipe, models)
    _check_splines(version)
    table, inputs, target = load_source(recipe.data)
    columns = columns_of(recipe.data, inputs)
    _check_same(version, recipe, columns, target)
    columns = columns_of_manifest(version.manifest)
    dataset = prepare_table(
        recipe, table, inputs, target, known_classes=tuple(version.manifest.classes), known_columns=columns
    )
    _check_filled(version, table.source, dataset.x)
    old_rows = None if recipe.fit.old_table is None else _read_old_rows(version, recipe, columns)
    return Start(version, replace(dataset, warnings=(*dataset.warnings, *_write_warnings(version, dataset))), old_rows)


def _check_place(version: Version, recipe: Recipe, models: Path) -> None:
    repository, manifest = version.folder.parent.parent, version.manifest
    if manifest.name != recipe.model.name:
        raise VersionError(
            f"{version.folder}: is a version of {manifest.name}, and [model] name is {recipe.model.name}; "
            "what learns on keeps its name"
        )
    if repository.resolve() != models.resolve():
        raise VersionError(
            f"{version.folder}: lies in the repository {repository}, and {models} is published to; "
            f"wanted --models {repository}"
        )


def _check_splines(version: Version) -> None:
    if not any(bool((layer.edge_mask != 0).any()) for layer in version.trained.kan.layers):
        raise VersionError(
            f"{version.folder}: its network has formulas only, and what learns on are the coefficients of splines; "
            "train anew on old and new rows together, or without [symbolic] to continue from that"
        )


def _check_same(version: Version, recipe: Recipe, columns: Sequence[Column], target: str | tuple[str, ...]) -> None:
    """Task, target and input columns, with their words, are those of the version."""
    manifest = version.manifest
    task = "classification" if manifest.task == TASK_CLASSIFICATION else "regression"
    if task != recipe.task.kind:
        raise VersionError(f"{version.folder}: was trained for {task}; the recipe has [task] kind = {recipe.task.kind}")
    fitted = manifest.objective
    # An older version has no such fields. Quantile and delta may change: the transforms do not depend on them.
    keys = {"objective": fitted.loss or "squared_error", "target_scale": fitted.target_scale or "linear"}
    for key, before in keys.items():
        if before != (here := getattr(recipe.task, key)):
            raise VersionError(f'{version.folder}: was trained with [task] {key} = "{before}"; the recipe has "{here}"')
    predicted = tuple(manifest.targets) or (manifest.target,)
    wanted = (target,) if isinstance(target, str) else target
    if predicted != wanted:
        raise VersionError(f"{version.folder}: predicts {quoted_list(predicted)}; the recipe has {quoted_list(wanted)}")
    was = list(columns_of_manifest(manifest))
    now = list(columns)
    if was != now:
        place = next((i for i, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), min(len(was), len(now)))
        there, given = (_describe_column(each[place]) if place < len(each) else "nothing" for each in (was, now))
        raise VersionError(f"{version.folder}: takes {there} as column {place + 1}; the recipe has {given}")


def _describe_column(column: Column) -> str:
    words = ", ".join(map(quoted, column.categories))
    if column.date_format:
        return f"{quoted(column.name)} with dates of the format {quoted(column.date_format)}"
    if column.by_target:
        return f"{quoted(column.name)} by_target"
    other = ' and unseen = "other"' if column.takes_other else ""
    return quoted(column.name) + (f" with the words {words}{other}" if words else " with numbers")


def _check_filled(version: Version, source: str, x: Numbers) -> None:
    gap = np.isnan(scale_rows(version, x).numpy())
    if gap.any():
        place = int(gap.any(axis=0).argmax())
        raise DataError(
            f"{source}: column {quoted(version.manifest.features[place].column)}: {int(gap[:, place].sum())} cells are "
            f"missing, and version {version.manifest.version} puts nothing in their place; fill them, or set [data] "
            'missing = "drop_rows"'
        )


def _read_old_rows(version: Version, recipe: Recipe, columns: Sequence[Column]) -> Numbers:
    assert recipe.fit.old_table is not None
    table: Table = read_table(recipe.fit.old_table, recipe.data.decimal)
    for column in columns:
        table.require(column.name, "an input in [data] columns")
    x = np.concatenate([feature_block(table, column, is_fitted=True) for column in columns], axis=1)
    if recipe.data.missing == "drop_rows":
        x = x[~np.isnan(x).any(axis=1)]
        if len(x) == 0:
            raise DataError(f"{table.source}: every row misses a cell, so that drop_rows leaves none")
    _check_filled(version, table.source, x)
    return x


def scale_rows(version: Version, x: Numbers) -> Tensor:
    """Rows ``[rows, features]`` as the version's network sees them, in float64."""
    raw, inputs = torch.from_numpy(x), version.trained.inputs
    return raw if inputs is None else inputs(raw)


def _write_warnings(version: Version, dataset: Dataset) -> list[str]:
    number, warnings = version.manifest.version, []
    woken = [
        feature.name
        for feature, constant in zip(version.manifest.features, dataset.constant, strict=True)
        if feature.constant and not constant
    ]
    if woken:
        warnings.append(
            f"{len(woken)} inputs that held one value when version {number} was trained have weight zero and keep it, "
            f"though their values differ now: {quoted_list(woken)}"
        )
    if absent := classes_without_rows(dataset.classes, dataset.y[dataset.train]):
        warnings.append(
            f"{len(absent)} of {len(dataset.classes)} classes have no new row to train, and may be answered less often "
            f"where the new rows lie: {quoted_list(absent)}"
        )
    if version.manifest.data.refit and dataset.source == version.manifest.data.source:
        warnings.append(
            f"version {number} was fitted on all rows of a table of this name; where these rows are among them, the "
            "test scores of both versions are too good"
        )
    return warnings
