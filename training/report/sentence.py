"""The first sentence of a report: how often a version is right, or how far off, beside answering without a model.

Example: "Misses 14 % of malignant (6 of 42) and is right for 93.9 % of 114 test rows; always answering benign would be
right for 63.2 %."
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, ModelManifest
from training.data.encoding import Numbers
from training.report.class_scores import score_classes
from training.report.judged import Judged
from training.report.verdict import baseline_name

# Targets that are named.
_MOST_TARGETS = 3


def first_sentence(manifest: ModelManifest, judged: Judged | None) -> str:
    """The verdict of the version in one sentence."""
    if judged is None:
        return "How good it is is not known: no rows with known true values were held out."
    return _of_classes(manifest, judged) if manifest.task == TASK_CLASSIFICATION else _of_numbers(manifest, judged)


def _of_classes(manifest: ModelManifest, judged: Judged) -> str:
    scores, names = score_classes(judged), manifest.classes
    present = [place for place, score in enumerate(scores) if score.rows]
    accuracy = _mean(judged.answers.argmax(axis=1) == judged.truth, judged.weights)
    if len(names) == 2:
        told = min(present, key=lambda place: (scores[place].rows, -place))  # The rarer class is what is looked for.
    else:
        told = min(present, key=lambda place: (scores[place].recall or 0.0, -scores[place].rows))
    score = scores[told]
    share = _percent(1 - (score.recall or 0.0))
    # Shares of weighted rows are not those of the counts.
    count = "" if judged.weights is not None else f" ({score.missed:,} of {score.rows:,})"
    part = "all" if accuracy == 1.0 else f"{_percent(accuracy, 1)} of"
    right = f"right for {part} {len(judged.truth):,} {judged.which}"
    if judged.trivial is None:
        beside = ""
    else:
        constant = judged.trivial.argmax(axis=1)
        alone = _mean(constant == judged.truth, judged.weights)
        beside = f"; always answering {names[constant[0]]} would be right for {_percent(alone, 1)}"
        if accuracy <= alone:
            right = f"no better than a constant, {right}"
    if len(names) == 2:
        return f"Misses {share} of {names[told]}{count} and is {right}{beside}."
    if not score.missed:
        return f"{right[0].upper()}{right[1:]}{beside}."
    return f"{right[0].upper()}{right[1:]}, and weakest on {names[told]}, of which it misses {share}{count}{beside}."


def _of_numbers(manifest: ModelManifest, judged: Judged) -> str:
    names = list(manifest.targets) or [manifest.target or "the answer"]
    several = len(names) > 1
    is_log = manifest.objective.target_scale == "log"
    truth = judged.truth.astype(np.float64)
    off = [_off(judged.answers[:, j], truth[:, j], judged.weights, is_log) for j in range(len(names))]
    shown = names[:_MOST_TARGETS]
    ours = ", ".join(f"{_size(off[j], is_log)}{f' for {name}' if several else ''}" for j, name in enumerate(shown))
    more = f" and {len(names) - len(shown)} more targets" if len(names) > len(shown) else ""
    which = "" if several else f" {manifest.target}" if manifest.target else ""
    how = "The answers" + (f" for{which}" if which else "")
    sentence = f"{how} to {len(judged.truth):,} {judged.which} are off by {ours}{more} on average"
    if manifest.objective.loss == "quantile":
        below = _mean(judged.truth[:, 0] <= judged.answers[:, 0], judged.weights)
        wanted = manifest.objective.quantile
        sentence += f", and {_percent(below, 1)} of the true values are at or below them (wanted: {_percent(wanted)})"
    if judged.trivial is None:
        return f"{sentence}."
    theirs = [_off(judged.trivial[:, j], truth[:, j], judged.weights, is_log) for j in range(len(names))]
    alone = baseline_name("trivial", manifest)
    beside = f"{alone} would be off by {', '.join(_size(theirs[j], is_log) for j in range(len(shown)))}"
    worse = [name for j, name in enumerate(names) if off[j] >= theirs[j]]
    if worse and manifest.objective.loss != "quantile":  # A quantile is not meant to be near the true values.
        which = "" if len(worse) == len(names) else f" for {_enumerate(worse)}"
        sentence += f", no better than a constant{which}"
    return f"{sentence}; {beside}."


def _enumerate(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _MOST_TARGETS} more targets" if len(names) > _MOST_TARGETS else ""
    return f"{', '.join(names[:_MOST_TARGETS])}{more}"


def _off(answers: Numbers, truth: Numbers, weights: Numbers | None, is_log: bool) -> float:
    """Mean |answer − truth|; on a log scale |answer / truth − 1|, which means the same for small and for large."""
    away = np.abs(answers - truth)
    return _mean(away / np.abs(truth) if is_log else away, weights)


def _size(off: float, is_log: bool) -> str:
    return _percent(off, 1) if is_log else f"{off:,.3g}" if off < 1000 else f"{off:,.0f}"


def _mean(values: NDArray[np.generic], weights: Numbers | None) -> float:
    return float(np.average(values.astype(np.float64), weights=weights))


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"
