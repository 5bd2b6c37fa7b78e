"""How good the answers are, as HTML: pictures and tables beside the trivial baseline."""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from kan_api.network_text import sets_text
from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, Intervals, ModelManifest
from training.intervals.judge import curve_of
from training.report.charts import calibration_curve, confusion, coverage_curve, predicted_against_true
from training.report.class_scores import ClassScore, calibrate, score_classes
from training.report.effects.shown_columns import ShownColumn
from training.report.judged import Judged
from training.report.page import folded, image, number, paragraph, table
from training.report.segments import segment
from training.report.verdict import baseline_name
from training.report.wrong_images import MOST_SHOWN, wrong_images

# Classes in the open table, and targets with pictures.
_MOST_CLASSES, _MOST_TARGETS = 12, 6


def answers_section(manifest: ModelManifest, judged: Judged | None, column: ShownColumn | None) -> Iterator[str]:
    """Tables and pictures of the answers.

    Args:
        manifest: Names classes and targets.
        judged: The answers; None: there are none.
        column: The most important one, which splits the rows of a regression into segments; None: there is none.
    """
    if judged is None:
        return
    if manifest.task == TASK_CLASSIFICATION:
        yield from _classes(manifest, judged)
    else:
        yield from _numbers(manifest, judged, column)


def sureness_section(manifest: ModelManifest) -> Iterator[str]:
    """How often true values lie between the bounds, and how wide these are: a table and a picture.

    Args:
        manifest: Tells of its intervals; nothing is said if there are none.
    """
    if not manifest.HasField("intervals"):
        return
    told, names = manifest.intervals, list(manifest.targets) or [manifest.target]
    judging = "test rows" if told.judged_by == "test" else "rows, each by bounds from other rows,"
    before = " They judged the fit before the refit." if told.judged_by == "test" and manifest.data.refit else ""
    widths = "differ from row to row, by a learned scale" if told.is_scaled else "are the same for all rows"
    if told.kind == "log":
        widths += ", as a factor of the answer"
    yield paragraph(
        f"Each answer has a lower and an upper bound, made from the errors of {told.calibration_rows:,} rows that had "
        f"no part in the networks that answered them. {100 * told.coverage:g} % of new rows shall lie between them. "
        f"The table tells how many of {told.judged_rows:,} {judging} did.{before} The bounds {widths}."
    )
    yield from _widths(names, told)
    # Versions of before have no curve in their manifest.
    if not told.curve_asked:
        return
    yield image(coverage_curve(names[:_MOST_TARGETS], *curve_of(told)), "asked and found shares", "half")
    yield paragraph(
        "For each share of rows that could have been asked for, the share that was found between the bounds. On the "
        "diagonal both are the same; above it the bounds are wider than they need be."
    )


def _widths(names: Sequence[str], told: Intervals) -> Iterator[str]:
    """A line for each target; with a pair of quantiles also one for the pair, and widths at equal coverage."""
    asked = f"{100 * told.coverage:g} %"
    lines = [
        [asked, _share(share), number(width)]
        for share, width in zip(told.judged_coverage, told.judged_width, strict=True)
    ]
    head = ["asked", "found", "mean distance of the bounds"]
    if not told.HasField("quantile_pair"):
        yield table(["target", *head], [[name, *line] for name, line in zip(names, lines, strict=True)])
        return
    pair, rows = told.quantile_pair, []
    for place, (name, line) in enumerate(zip(names, lines, strict=True)):
        theirs = [asked, _share(pair.judged_coverage[place]), number(pair.judged_width[place])]
        rows.append([name, "this model", *line, number(pair.intervals_equal_width[place])])
        rows.append([name, "boosted trees", *theirs, number(pair.equal_width[place])])
    yield table(["target", "by", *head, "at equal coverage"], rows)
    low, high = (number(100 * (1 + sign * told.coverage) / 2) for sign in (-1, 1))
    yield paragraph(
        "The boosted trees are two fits of scikit-learn's HistGradientBoostingRegressor, of the "
        f"{low} % and the {high} % quantile, to {pair.train_rows:,} training rows. At equal coverage: each method is "
        f"widened or narrowed by one number until {asked} of the test rows lie between its bounds; the trees' bounds "
        "in the way that leaves them narrower."
    )


def _classes(manifest: ModelManifest, judged: Judged) -> Iterator[str]:
    scores = score_classes(judged)
    worst = sorted(range(len(scores)), key=lambda place: (-scores[place].missed, place))
    if len(scores) <= _MOST_CLASSES:
        worst = list(range(len(scores)))
    yield _class_table(manifest, scores, sorted(worst[:_MOST_CLASSES]))
    if rest := sorted(worst[_MOST_CLASSES:]):
        yield folded(f"{len(rest)} classes with fewer mistakes", _class_table(manifest, scores, rest))
    found = calibrate(judged)
    before = None if judged.uncalibrated is None else calibrate(replace(judged, answers=judged.uncalibrated))
    two = len(scores) == 2
    what = f"probability of {manifest.classes[1]}" if two else "probability of the answered class"
    share = scores[1].share if two else None
    yield image(calibration_curve(found, what, share, before), "calibration", "half")
    picture = confusion(manifest.classes, judged.truth.astype("int64"), judged.answers.argmax(axis=1))
    yield image(picture, "confusion matrix", "half")
    yield paragraph(
        f"Left: of the rows with about the same {what}, the share where it came true; a curve on the diagonal can be "
        f"taken at its word. Here the two differ by {100 * found.error:.1f} % on average.{_smoothing(manifest)} Right: "
        "rows by true and by answered class."
    )
    yield from _calibration(manifest)
    yield from _wrong_images(manifest, judged)


def _calibration(manifest: ModelManifest) -> Iterator[str]:
    """What dividing the scores did to the calibration error and the log loss, and the sets of classes."""
    if not manifest.HasField("calibration"):
        return
    made = manifest.calibration
    rows = []
    for name, found in (("training rows, as estimated", made.estimated), ("test rows", made.test)):
        losses, errors = (found.log_loss_before, found.log_loss_after), (found.error_before, found.error_after)
        if found.rows:
            values = (found.temperature, *losses, *errors, found.error_by_chance)
            rows.append([name, f"{found.rows:,}", *map(number, values)])
    head = ["", "rows", "temperature", "log loss before", "after", "calibration error before", "after", "by chance"]
    yield table(head, rows)
    text = f"Before the softmax, scores are divided by a temperature of {number(made.temperature)}."
    if made.temperature == 1:
        text = "The rows tell no temperature that is better than 1 by more than chance, so scores stay as they are."
    before = " The test rows judged the fit before the refit, by its own temperature."
    yield paragraph(
        f"{text} It comes from rows that each one member left out, as an estimate of what the mean of the members says "
        "of new rows, or by these members alone if they ask for a lower temperature."
        f"{before if manifest.data.refit and made.test.rows else ''} Above 1 it makes probabilities less "
        "certain. Calibration error: the rows are sorted by the probability of their most probable class and cut into "
        "15 bins of equal weight; it is the mean difference between that probability and the share of rows of that "
        "class. By chance alone, right probabilities of as many rows have the one beside it."
    )
    if made.HasField("sets"):
        yield paragraph(f"Sets of classes: {sets_text(manifest)}.")


def _smoothing(manifest: ModelManifest) -> str:
    if manifest.HasField("calibration") and manifest.calibration.temperature != 1:
        return ""
    share = tomllib.loads(manifest.recipe).get("fit", {}).get("label_smoothing", 0)
    return f" [fit] label_smoothing = {share:g} makes probabilities less certain than they could be." if share else ""


def _wrong_images(manifest: ModelManifest, judged: Judged) -> Iterator[str]:
    """Test images that were answered wrong; nothing of a table, and nothing if all were right."""
    if not manifest.image_shape or judged.rows is None:
        return
    truth = judged.truth.astype("int64")
    figure = wrong_images(judged.rows, manifest.image_shape, manifest.classes, truth, judged.answers)
    if figure is not None:
        wrong = int((judged.answers.argmax(axis=1) != truth).sum())
        yield image(figure, "images that were answered wrong")
        shown = "all of them" if wrong <= MOST_SHOWN else f"the {MOST_SHOWN} most certain mistakes"
        yield paragraph(
            f"{wrong:,} of {len(truth):,} {judged.which} were answered wrong; above {shown}. “8 as 1” is an 8 that was "
            "answered as a 1, with the probability of that answer."
        )


def _class_table(manifest: ModelManifest, scores: Sequence[ClassScore], places: Sequence[int]) -> str:
    rows = [
        [
            manifest.classes[place],
            f"{scores[place].rows:,}",
            _share(scores[place].recall),
            _share(scores[place].precision),
            _share(scores[place].share),
            "" if scores[place].auc is None else f"{scores[place].auc:.3f}",
        ]
        for place in places
    ]
    head = ["class", "rows", "recall", "precision", "precision of always answering it", "AUC (by chance 0.5)"]
    return table(head, rows)


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _numbers(manifest: ModelManifest, judged: Judged, column: ShownColumn | None) -> Iterator[str]:
    names = list(manifest.targets) or [manifest.target]
    truth = judged.truth.astype(np.float64)
    for place, name in enumerate(names[:_MOST_TARGETS]):
        constant = None if judged.trivial is None else float(judged.trivial[0, place])
        is_log = manifest.objective.target_scale == "log"
        figure = predicted_against_true(name, truth[:, place], judged.answers[:, place], constant, is_log=is_log)
        yield image(figure, f"predicted and true {name}")
    if (more := len(names) - _MOST_TARGETS) > 0:
        yield paragraph(f"and {more} more targets")
    if judged.rows is not None and column is not None:
        yield _segment_table(manifest, judged, column, names)


def _segment_table(manifest: ModelManifest, judged: Judged, column: ShownColumn, names: Sequence[str]) -> str:
    is_log = manifest.objective.target_scale == "log"
    rows = [
        [one.name, f"{one.rows:,}", *(_off(off, is_log) for off in (one.error, one.trivial, one.bias))]
        for one in segment(judged, column, is_log=is_log)
    ]
    target = f" for {names[0]}" if len(names) > 1 else ""
    head = [
        column.name,
        "rows",
        f"mean error{target}",
        f"of {baseline_name('trivial', manifest)}",
        "too high on average",
    ]
    return table(head, rows)


def _off(value: float | None, is_log: bool) -> str:
    return number(value) if value is None or not is_log else f"{100 * value:.1f} %"
