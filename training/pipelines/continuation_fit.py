"""The fit of a published version to new rows, and what its next version says of itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from kan_api.metric_names import shown_name
from kan_api.v1.manifest_pb2 import Feature, ModelManifest
from training.data.dataset import Dataset
from training.data.encoding import Numbers
from training.data.preparation import fitted_loss, samples
from training.errors import TrainingError
from training.fitting.continual import Continued, fit_on
from training.fitting.record import Record
from training.pipelines.continuation_start import Start, scale_rows
from training.publishing.export import Trained
from training.publishing.manifest import BEFORE, predict
from training.publishing.metrics import UNANSWERED, score_rows
from training.publishing.verify import check_promises
from training.recipe.config import Recipe
from training.recipe.fit_sections import FitSection
from training.threads import threads_for, torch_threads


class ContinuationError(TrainingError):
    """The version cannot learn from these rows."""


@dataclass(frozen=True)
class Learned:
    """What came of it.

    Attributes:
        trained: The new network behind the version's input transform and before its output transform.
        continued: What moved, and how far old answers did.
        history: Losses on the version's grid.
        notes: What a person should know, a line each.
        before: Metrics of the version that learned on over the new held-out rows, by name.
    """

    trained: Trained
    continued: Continued
    history: tuple[Record, ...]
    notes: tuple[str, ...]
    before: Mapping[str, float]


def learn_on(recipe: Recipe, start: Start, on_evaluation: Callable[[Record], None]) -> Learned:
    """Fit what the new training rows touch; the new validation rows choose, and held-out rows have no say.

    Args:
        recipe: With ``[model] continue_from``.
        start: The version and its rows.
        on_evaluation: Called after each evaluation on the validation rows; the first is before any step.

    Raises:
        ContinuationError: there is nothing that could move.
        TrainingDiverged: the loss is not finite even before the first step.
    """
    version, dataset = start.version, start.dataset
    old_rows = None if start.old_rows is None else scale_rows(version, start.old_rows)
    continued = fit_further(version.trained, dataset, recipe.fit, on_evaluation, old_rows)
    trained = replace(version.trained, kan=continued.kan, intervals=None)
    before, after = (
        score_rows(dataset, dataset.test, predict(each, dataset.x[dataset.test])) for each in (version.trained, trained)
    )
    return Learned(trained, continued, continued.history, _write_notes(start, continued, before, after), before)


def fit_further(
    trained: Trained,
    dataset: Dataset,
    plan: FitSection,
    on_evaluation: Callable[[Record], None],
    old_rows: Tensor | None = None,
) -> Continued:
    """Fit what the training rows of a dataset touch; its validation rows choose.

    Args:
        trained: The network, whose transforms stay.
        dataset: The new rows.
        plan: Of the fit.
        on_evaluation: Called after each evaluation on the validation rows; the first is before any step.
        old_rows: ``[rows, inputs]``, scaled, for which the change of the answers is reported; None: there are none.

    Returns:
        As :func:`training.fitting.continual.fit_on`; the records have the grid of the network.

    Raises:
        ContinuationError: there is nothing that could move.
        TrainingDiverged: the loss is not finite even before the first step.
    """
    kan, inputs, outputs = trained.kan, trained.inputs, trained.outputs
    grid = kan.layers[0].grid_size
    new, validation = (
        samples(dataset, rows, inputs, outputs, kan.dtype) for rows in (dataset.train, dataset.validation)
    )
    try:
        with torch_threads(threads_for(kan, plan.batch_rows or len(new.x))):
            continued = fit_on(
                kan,
                new.x,
                new.y,
                task=fitted_loss(dataset, outputs),
                plan=plan,
                validation=validation,
                old_rows=None if old_rows is None else old_rows.to(kan.dtype),
                protect_old=plan.protect_old,
                new_weights=new.weights,
                on_evaluation=lambda record: on_evaluation(replace(record, grid_size=grid)),
            )
    except ValueError as error:
        raise ContinuationError(f"{dataset.source}: {error}") from None
    return replace(continued, history=tuple(replace(record, grid_size=grid) for record in continued.history))


def describe_next_version(manifest: ModelManifest, start: Start, learned: Learned) -> ModelManifest:
    """The manifest of the next version: domain and imputed values are the version's, histograms count old and new rows.

    So is unknown_ground, unless the recipe gives another.

    Args:
        manifest: As of a first training on the new rows.
        start: What was continued.
        learned: What came of it; how far old answers moved, and how good the version was on the new held-out rows
            (``before_test_…``), join the metrics.
    """
    result = ModelManifest()
    result.CopyFrom(manifest)
    result.continued_from = start.version.manifest.version
    result.unknown_ground = manifest.unknown_ground or start.version.manifest.unknown_ground
    del result.features[:]
    rows = start.dataset.x[start.dataset.train]
    result.features.extend(
        _update_feature(feature, rows[:, place]) for place, feature in enumerate(start.version.manifest.features)
    )
    check_promises(result, learned.trained.kan)
    for name, value in learned.before.items():
        result.metrics[f"{BEFORE}{name}"] = value
    if (drift := learned.continued.drift) is not None:
        result.metrics["drift_largest"], result.metrics["drift_rms"] = drift.largest, drift.rms
    return result


def _write_notes(
    start: Start, continued: Continued, before: Mapping[str, float], after: Mapping[str, float]
) -> tuple[str, ...]:
    number = start.version.manifest.version
    free, count = sum(int(mask.sum()) for mask in continued.free), sum(mask.numel() for mask in continued.free)
    notes = [f"continued version {number}; {free} of {count} spline coefficients were free to move"]
    best = min(continued.history, key=lambda record: record.validation_loss)
    if best.step == 0:
        notes.append(
            f"warning   no step was better on the validation rows: it answers as version {number}, and differs from it "
            "in the histograms alone, which count the new rows"
        )
    else:
        changes = ", ".join(
            f"{shown_name(name)} {before[name]:.4g} -> {value:.4g}" for name, value in after.items() if name in before
        )
        notes.append(f"new rows  {len(start.dataset.test)} test rows, before and after: {changes}")
    if silent := after.get(UNANSWERED):
        notes.append(f"warning   no answer to {silent:.0f} of {len(start.dataset.test)} new test rows")
    if start.version.trained.intervals is not None:
        notes.append(
            f"warning   the intervals of version {number} were made for its network and are left out; a new training "
            "makes the outputs lower and upper"
        )
    if start.version.manifest.HasField("calibration"):
        notes.append(
            f"warning   the calibration of version {number} was made for its network and is left out, but its scores "
            "stay divided; a new training makes another"
        )
    if continued.rows_outside:
        notes.append(
            f"warning   {continued.rows_outside} of {len(start.dataset.train)} new rows lie outside the range of "
            f"version {number}, which stays; a new training would widen it"
        )
    if continued.drift is not None and start.old_rows is not None:
        notes.append(
            f"old rows  {len(start.old_rows)}: the network's outputs moved by {continued.drift.largest:.2g} of their "
            f"range at most, {continued.drift.rms:.2g} root mean square"
        )
    return tuple(notes)


def _update_feature(before: Feature, values: Numbers) -> Feature:
    """As before, with the new values counted too; values beyond the histogram get bins of their own."""
    feature = Feature()
    feature.CopyFrom(before)
    feature.ClearField("attribution")  # it was another network's
    values = values[~np.isnan(values)]
    edges, counts = list(before.histogram.edges), list(before.histogram.counts)
    if not edges or len(values) == 0:
        return feature
    if values.min() < edges[0]:
        edges, counts = [float(values.min()), *edges], [0, *counts]
    if values.max() > edges[-1]:
        edges, counts = [*edges, float(values.max())], [*counts, 0]
    added, _ = np.histogram(values, bins=np.array(edges))
    feature.histogram.edges[:] = edges
    feature.histogram.counts[:] = [old + int(new) for old, new in zip(counts, added, strict=True)]
    return feature
