"""The effects of the columns as HTML: 12 in the open, 6 more in a fold."""

from collections.abc import Iterator, Sequence

import numpy as np

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, ModelManifest
from training.publishing.manifest import output_names
from training.report.effects.computed import DrawnEffect
from training.report.effects.drawn import draw_effects
from training.report.page import folded, image, paragraph

_OPEN = 12
# More lines of classes are too small to read.
_MOST_CLASSES, _MOST_TARGETS = 6, 3


def effects_section(manifest: ModelManifest, drawn: Sequence[DrawnEffect], columns: int) -> Iterator[str]:
    """Pictures of the effects, as HTML: those of 12 columns, and of up to 6 more in a fold.

    Args:
        manifest: Names the outputs.
        drawn: The effects, the strongest first.
        columns: Number of all columns.
    """
    if not drawn:
        return
    outputs = drawn[0].effect.mean.shape[1]
    names = output_names(manifest.classes, manifest.target, outputs, manifest.targets)
    yield paragraph(_caption(manifest, names))
    shown = shown_outputs(manifest, len(names), drawn)
    yield image(draw_effects(drawn[:_OPEN], names, shown[0]), "effects of the columns")
    for other in shown[1:]:
        picture = image(draw_effects(drawn[:_OPEN], names, other), f"effects on {names[other[0]]}")
        yield folded(f"effects on {names[other[0]]}", picture)
    if rest := drawn[_OPEN:]:
        more = columns - len(drawn)
        title = f"{len(rest)} columns that matter less{f'; {more:,} more are not drawn' if more else ''}"
        yield folded(title, image(draw_effects(rest, names, shown[0]), "effects of further columns"))


def _caption(manifest: ModelManifest, names: Sequence[str]) -> str:
    if manifest.task != TASK_CLASSIFICATION:
        what = "the answer"
    else:
        what = f"the probability of {names[1]}" if len(names) == 2 else "the probability of each class"
    has_lines = not (len(names) > 2 and manifest.task == TASK_CLASSIFICATION)
    lines = ", the thin ones single rows; where these cross, the column acts together with others" if has_lines else ""
    which = "training rows" if manifest.data.train_rows else "the rows that were at hand"
    return (
        f"How {what} changes with each column while all others stay as they are, the column that matters most first. "
        f"The thick line is the mean over {which}{lines}. The bars below tell where these rows are; where "
        "there are none, nothing was learned. Bars of words begin at the mean answer."
    )


def shown_outputs(manifest: ModelManifest, outputs: int, drawn: Sequence[DrawnEffect]) -> list[tuple[int, ...]]:
    """The outputs of each picture: of two classes the second one, of more those that change most; each target alone."""
    if manifest.task != TASK_CLASSIFICATION:
        return [(place,) for place in range(min(outputs, _MOST_TARGETS))]
    if outputs == 2:
        return [(1,)]
    spread = sum(np.nan_to_num(np.ptp(one.effect.mean, axis=0)) for one in drawn)
    return [tuple(sorted(np.argsort(-spread, kind="stable")[:_MOST_CLASSES].tolist()))]
