"""Columns of many words as numbers: the mean of the target over the rows of each word.

For a word that n training rows hold, with sum s of the target, and the mean p over all training rows, the number is

    (s + 10·p) / (n + 10)

so a word of few rows stays near p, and a word that training never saw is p. For example, with p = 100, one row of 210
gives 110, and 90 rows of 210 on average give 199. A classification has such a number for each class but the first: the
share of the class. Training rows get numbers that the other rows of their word gave (out of fold, Micci-Barreca 2001):
with its own target in the number, a word of one row would tell the network its target.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kan_api.limits import MAX_NAME_CHARACTERS
from training.data.split import RowNumbers
from training.data.table import Cells

SMOOTHING = 10.0
FOLDS = 5
# Most words of a column in the manifest; rarer words get the prior.
MOST_WORDS = 10_000
MOST_CHARACTERS = 2**19

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Statistics:
    """The numbers of each word.

    Attributes:
        words: The words; "" is a missing cell.
        values: For each word its numbers, rounded to float32.
        prior: The numbers of every other word.
        labels: The class of each number; empty if a word has one number.
    """

    words: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    prior: tuple[float, ...]
    labels: tuple[str, ...] = ()

    def encode(self, cells: Cells) -> Numbers:
        """The numbers float64 [rows, numbers] of cells [rows]."""
        table = np.array([*self.values, self.prior]).reshape(-1, len(self.prior))
        encoded: Numbers = table[_places(cells, self.words)]
        return encoded


def fit_statistics(
    cells: Cells,
    y: Numbers | RowNumbers,
    classes: tuple[str, ...],
    train: RowNumbers,
    seed: int,
    most_words: int,
    weights: Numbers | None = None,
) -> tuple[Statistics, Numbers]:
    """The numbers of a column of words.

    Args:
        cells: str [rows], "" where the cell is missing.
        y: The target: int64 [rows] classes, or float64 [rows, targets].
        classes: The classes; empty for a regression.
        train: The training rows; the targets of others are not read.
        seed: Of the folds.
        most_words: Most words; the most frequent ones are kept.
        weights: How much each row counts, 0 or more. None: all count alike.

    Returns:
        The statistics of all training rows; and the numbers of each row, float64 [rows, numbers]: out of fold for the
        training rows, by the statistics for the others.
    """
    targets = _targets(y, classes)
    shares = np.ones(len(cells)) if weights is None else weights
    words = _frequent_words(cells[train[shares[train] > 0]], most_words)
    codes = _places(cells, words)
    table = _means(codes[train], targets[train], len(words), shares[train])
    block = table[codes]
    folds = np.random.default_rng(seed).permutation(len(train)) % FOLDS
    for fold in range(FOLDS):
        others, rows = train[folds != fold], train[folds == fold]
        if not shares[others].any():
            continue
        block[rows] = _means(codes[others], targets[others], len(words), shares[others])[codes[rows]]
    rounded = table.astype(np.float32).astype(np.float64).tolist()
    labels = () if targets.shape[1] == 1 else (classes[1:] or tuple(map(str, range(1, targets.shape[1] + 1))))
    statistics = Statistics(words, tuple(map(tuple, rounded[:-1])), tuple(rounded[-1]), labels)
    return statistics, block.astype(np.float32).astype(np.float64)


def _targets(y: Numbers | RowNumbers, classes: tuple[str, ...]) -> Numbers:
    """What is averaged, float64 [rows, numbers]: the target, or 1 for a row of the class."""
    if not classes:
        return np.asarray(y, dtype=np.float64).reshape(len(y), -1)
    is_of_class: NDArray[np.bool_] = y.reshape(-1, 1) == np.arange(1, max(2, len(classes)))
    return is_of_class.astype(np.float64)


def _frequent_words(cells: Cells, most: int) -> tuple[str, ...]:
    """The most frequent words, of equal ones the first in the alphabet, as far as a manifest has room for them."""
    counts = Counter(cells.tolist())
    fitting = (word for word in counts if len(word) <= MAX_NAME_CHARACTERS)
    ordered = sorted(fitting, key=lambda word: (-counts[word], word))[:most]
    characters = np.cumsum([len(word) for word in ordered])
    return tuple(ordered[: int((characters <= MOST_CHARACTERS).sum())])


def _means(codes: RowNumbers, targets: Numbers, words: int, shares: Numbers) -> Numbers:
    """The smoothed mean of each word, and the mean of all rows as the last row: float64 [words + 1, numbers]."""
    prior = np.average(targets, axis=0, weights=shares)
    known = codes >= 0
    rows = np.bincount(codes[known], shares[known], minlength=words)[:, None]
    weighted = targets * shares[:, None]
    sums = np.stack([np.bincount(codes[known], each[known], minlength=words) for each in weighted.T], axis=1)
    return np.concatenate([(sums + SMOOTHING * prior) / (rows + SMOOTHING), prior[None]])


def _places(cells: Cells, words: tuple[str, ...]) -> RowNumbers:
    """The place of each cell among the words; -1, the last row of a table, for a cell that is none of them."""
    return pd.Index(words, dtype=object).get_indexer(pd.Index(cells, dtype=object)).astype(np.int64)
