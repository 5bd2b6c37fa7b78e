"""The columns as people know them, most important first: the features of a column of words are one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from kan_api.v1.manifest_pb2 import Column, ModelManifest
from training.data.encoding import Numbers
from training.data.split import RowNumbers
from training.data.table import Cells
from training.explaining import group_by_column, score_inputs
from training.publishing.export import Trained

# Rows that tell how much columns matter.
_ROWS = 500


@dataclass(frozen=True)
class ShownColumn:
    """A column of numbers, one number of a date, or a column of words.

    Attributes:
        name: As people know it.
        places: The features.
        score: How much the answers depend on it.
        words: The words, or () for numbers; "" is an empty cell.
        values: ``[words, features]``, the features of each word; None for numbers.
    """

    name: str
    places: tuple[int, ...]
    score: float = 0.0
    words: tuple[str, ...] = ()
    values: Numbers | None = None

    def find_words(self, rows: Numbers, cells: Cells | None = None) -> RowNumbers:
        """The place of each row's word, ``[rows]``; -1 for another.

        Args:
            rows: ``[rows, features]``, raw. Words with the same numbers count as the first.
            cells: The words of the rows, ``[rows]``. Training rows of a column in `by_target` need them: their numbers
                are out of fold, so no word has them.
        """
        if cells is not None:
            return pd.Index(self.words, dtype=object).get_indexer(pd.Index(cells, dtype=object)).astype(np.int64)
        assert self.values is not None
        found = np.full(len(rows), -1, np.int64)
        cells = rows[:, self.places].astype(np.float32)
        for place in reversed(range(len(self.words))):
            found[(cells == self.values[place].astype(np.float32)).all(axis=1)] = place
        return found


def shown_columns(manifest: ModelManifest, trained: Trained, rows: Numbers) -> list[ShownColumn]:
    """All columns that are not constant, most important first.

    Args:
        manifest: Names features and columns, and scores them where training did.
        trained: Scores the columns where the manifest does not.
        rows: ``[rows, features]``, raw.
    """
    columns = {column.name: column for column in manifest.columns}
    found: dict[str, ShownColumn] = {}
    names: list[str] = []
    for place, feature in enumerate(manifest.features):
        column = columns.get(feature.column, Column())
        of_words = bool(column.categories) or column.HasField("statistics")
        name = feature.column if of_words else feature.name
        before = found.get(name)
        places = (*(before.places if before else ()), place)
        found[name] = ShownColumn(name, places, 0.0, *_words(column) if of_words else ())
        names.append(name)
    scores = _told_scores(manifest, found.values()) or _computed_scores(manifest, trained, rows, names)
    varied = [one for one in found.values() if not all(manifest.features[place].constant for place in one.places)]
    scored = [replace(one, score=scores.get(one.name, 0.0)) for one in varied]
    return sorted(scored, key=lambda one: -one.score)


def _words(column: Column) -> tuple[tuple[str, ...], Numbers]:
    if column.HasField("statistics"):
        words = column.statistics.words
        return tuple(words), np.array(column.statistics.values, np.float64).reshape(len(words), -1)
    return tuple(column.categories), np.eye(len(column.categories))


def _told_scores(manifest: ModelManifest, shown: Iterable[ShownColumn]) -> dict[str, float]:
    """The attributions that the manifest has; empty where it lacks those of features.

    Of words without one of their own, as older versions tell them, the sum of their features'.
    """
    features = manifest.features
    if not all(feature.HasField("attribution") for feature in features):
        return {}
    whole = {column.name: column.attribution for column in manifest.columns if column.HasField("attribution")}
    return {one.name: whole.get(one.name, sum(features[place].attribution for place in one.places)) for one in shown}


def _computed_scores(
    manifest: ModelManifest, trained: Trained, rows: Numbers, names: Sequence[str]
) -> dict[str, float]:
    """The dependence on each column, gap inputs included, by the name of each feature's column."""
    gaps = [name for name, feature in zip(names, manifest.features, strict=True) if feature.has_gap_input]
    columns, groups = group_by_column([*names, *gaps])
    x = torch.from_numpy(rows[:: max(1, -(-len(rows) // _ROWS))])
    given = (x if trained.inputs is None else trained.inputs(x)).to(trained.kan.dtype)
    given = given[torch.isfinite(given).all(dim=1)]
    try:
        scores = score_inputs(trained.kan, given, trained.outputs, groups)
    except ValueError:  # No finite answers: the order of the table is as good as any.
        return {}
    return dict(zip(columns, scores.tolist(), strict=True))
