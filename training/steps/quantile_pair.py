"""A pair of boosted trees fitted to two quantiles, the usual rival of intervals.

The trees are scikit-learn's, with its defaults, and read the same features as those of [baseline] do.
"""

from dataclasses import replace

import numpy as np

from kan_api.v1.manifest_pb2 import Intervals
from training.data.dataset import Dataset
from training.data.encoding import Numbers
from training.data.objective.loss_function import LossFunction
from training.data.split import RowNumbers
from training.intervals.beside import Pair, compare_widths
from training.publishing.export import Trained
from training.recipe.fit_sections import BaselineSection
from training.steps.sklearn_baselines import fit_sklearn_baseline
from training.steps.state import Check, OnMessage

# A fit to quantiles takes longer than one to the mean.
MOST_ROWS = 50_000


def compare_with_pair(
    intervals: Intervals,
    section: BaselineSection | None,
    dataset: Dataset,
    trained: Trained,
    check: Check,
    on_message: OnMessage,
) -> Intervals:
    """What the manifest tells of intervals, and of the pair beside them.

    Nothing is added without "boosted" in [baseline], and without test rows, which judge both.

    Args:
        intervals: What is told of the intervals alone.
        section: Which baselines; None: there are none.
        dataset: The table.
        trained: The network, with its intervals.
        check: Called before each fit; it may raise to end the work.
        on_message: Called with a line before the fits.
    """
    if section is None or "boosted" not in section.kinds or not len(dataset.test):
        return intervals
    on_message("baseline: fitting boosted trees to two quantiles")
    pair, rows = fit_quantile_pair(dataset, intervals.coverage, check)
    message = Intervals()
    message.CopyFrom(intervals)
    message.quantile_pair.CopyFrom(compare_widths(intervals.coverage, pair, rows, dataset, trained))
    return message


def fit_quantile_pair(dataset: Dataset, coverage: float, check: Check) -> tuple[Pair, int]:
    """Fit the quantiles (1 - coverage) / 2 and (1 + coverage) / 2 to all rows but the test rows.

    Members of an ensemble train on validation rows too, so the trees do. Of many rows they get a random part.

    Args:
        dataset: The table.
        coverage: Between 0 and 1.
        check: Called before each fit.

    Returns:
        A function from row numbers to both bounds, in raw units; and the number of rows that were fitted to.
    """
    rows = dataset.without_validation().train
    if len(rows) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_ROWS, replace=False))
    answers = []
    for quantile in ((1 - coverage) / 2, (1 + coverage) / 2):
        check()
        asked = replace(dataset, train=rows, loss=LossFunction("quantile", quantile))
        answers.append(fit_sklearn_baseline("boosted", asked)[0])

    def bounds(asked: RowNumbers) -> tuple[Numbers, Numbers]:
        # Each quantile is fitted on its own, so the two may cross.
        first, second = (answer(asked) for answer in answers)
        return np.minimum(first, second), np.maximum(first, second)

    return bounds, len(rows)
