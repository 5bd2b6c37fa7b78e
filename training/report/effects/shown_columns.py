"""The columns as people know them, most important first: the features of a column of words are one."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from kan_api.v1.manifest_pb2 import Column, ModelManifest
from kan_model import attribute
from training.data.encoding import Numbers
from training.data.split import RowNumbers
from training.data.table import Cells
from training.publishing.export import Trained

# Rows that tell how much columns matter.
_ROWS = 500


@dataclass(frozen=True)
class ShownColumn:
    """A column of numbers, one number of a date, or a column of words.

    Attributes:
        name: As people know it.
        places: The features.
        score: How much the answers depend on it: the attribution of the column, or the sum of its features'.
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
    scores = _scores(manifest, trained, rows)
    columns = {column.name: column for column in manifest.columns}
    found: dict[str, ShownColumn] = {}
    for place, feature in enumerate(manifest.features):
        column = columns.get(feature.column, Column())
        of_words = bool(column.categories) or column.HasField("statistics")
        name = feature.column if of_words else feature.name
        before = found.get(name)
        places = (*(before.places if before else ()), place)
        score = (before.score if before else 0.0) + float(scores[place])
        found[name] = ShownColumn(name, places, score, *_words(column) if of_words else ())
    for name in found.keys() & columns.keys():
        if columns[name].HasField("attribution"):
            found[name] = replace(found[name], score=columns[name].attribution)
    varied = [one for one in found.values() if not all(manifest.features[place].constant for place in one.places)]
    return sorted(varied, key=lambda one: -one.score)


def _words(column: Column) -> tuple[tuple[str, ...], Numbers]:
    if column.HasField("statistics"):
        words = column.statistics.words
        return tuple(words), np.array(column.statistics.values, np.float64).reshape(len(words), -1)
    return tuple(column.categories), np.eye(len(column.categories))


def _scores(manifest: ModelManifest, trained: Trained, rows: Numbers) -> Numbers:
    """One score for each feature, its gap input included."""
    features = manifest.features
    if all(feature.HasField("attribution") for feature in features):
        return np.array([feature.attribution for feature in features])
    x = torch.from_numpy(rows[:: max(1, -(-len(rows) // _ROWS))])
    given = (x if trained.inputs is None else trained.inputs(x)).to(trained.kan.dtype)
    given = given[torch.isfinite(given).all(dim=1)]
    try:
        scores = attribute(trained.kan, given).inputs
    except ValueError:  # No finite answers: the order of the table is as good as any.
        return np.zeros(len(features))
    whole: Numbers = scores[: len(features)].copy()
    gaps = [place for place, feature in enumerate(features) if feature.has_gap_input]
    whole[gaps] += scores[len(features) :]
    return whole
