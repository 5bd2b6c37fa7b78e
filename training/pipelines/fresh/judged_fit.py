"""What a fit gives, and what is known of it: everything that a version is made of but its graphs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from kan_api.v1.manifest_pb2 import Formula, Intervals
from training.data.dataset import Dataset
from training.data.split import RowNumbers
from training.fitting.fit import FitState
from training.fitting.record import Record
from training.intervals.calibrate import calibrate
from training.intervals.judge import judge_intervals
from training.pipelines.fresh.calibrated import CalibratedFit, calibrate_fit
from training.pipelines.fresh.fit import FreshFit
from training.pipelines.release import judge, judge_answers
from training.publishing.export import Trained
from training.publishing.whole_formula import formula_details
from training.recipe.config import Recipe
from training.report.judged import Judged
from training.steps import Finished, StepData, finish
from training.steps.attribution import add_attribution
from training.steps.quantile_pair import compare_with_pair
from training.steps.state import Check, OnMessage
from training.threads import threads_for, torch_threads


@dataclass(frozen=True)
class JudgedFit:
    """A network, and how good it is.

    Attributes:
        dataset: Its training rows trained the network.
        trained: The network with its transforms.
        recipe: The keys that it was fitted by.
        history: Of the fit and of the steps after it.
        notes: For terminal and report; ``all_notes`` has those on the temperature too.
        metrics: Of the out-of-fold answers, the search and the baselines; after a refit also of the test rows. The
            manifest measures the others on the published network.
        judged: Answers to the test rows; without such rows those out of fold, or to the rows that chose the network;
            None: there are none.
        formula: One line an output, or "".
        latex: The same as LaTeX.
        attribution: The score of each feature, or empty.
        tested_rows: After a refit the number of rows that judged the network before it; else 0.
        formula_details: The formula beside the network, also if it is not the one to publish; None: there is none.
        intervals: What the manifest tells of the intervals around the answers; None: there are none.
        chose: Numbers of the rows that chose the plan of the fit; known where there are intervals or a calibration.
        covariances: ``[outputs, inputs, functions, functions]``, of the coefficients of an additive model's curves;
            None: not known.
        calibrated: What the scores of the classes were divided by; None: by nothing.
        keep_splines: Judges the network of splines that formulas were fitted to, in their place, for a note that says
            why; a formula of the whole network is told then. None: no formula is served, or the recipe insists on it.
    """

    dataset: Dataset
    trained: Trained
    recipe: Recipe
    history: tuple[Record, ...]
    notes: tuple[str, ...]
    metrics: Mapping[str, float]
    judged: Judged | None
    formula: str = ""
    latex: str = ""
    attribution: tuple[float, ...] = ()
    tested_rows: int = 0
    formula_details: Formula | None = None
    intervals: Intervals | None = None
    chose: RowNumbers | None = None
    covariances: Tensor | None = None
    calibrated: CalibratedFit | None = None
    keep_splines: Callable[[str], "JudgedFit"] | None = None

    @property
    def all_notes(self) -> tuple[str, ...]:
        """For terminal and report. After a refit only its own temperature is told, which is the published one."""
        return self.notes if self.calibrated is None else (*self.notes, *self.calibrated.notes())


def judge_fit(way: FreshFit, state: FitState, table: StepData, check: Check, on_message: OnMessage) -> JudgedFit:
    """Take the steps after a fit that ended, and answer the test rows.

    Args:
        way: The fit.
        state: At its end.
        table: Its rows.
        check: Called often; it may raise to end the work.
        on_message: Called with a line when something begins that takes its time.

    Raises:
        TrainingDiverged: the fit is of no use.
        StepFailed: a step cannot be done as the recipe asks.
        IntervalsFailed: there are too few rows for [intervals].
    """
    network, chosen = way.network(state), way.chosen(state)
    diagnostics = way.notes(state)
    # The refit computes the attribution of its own network.
    steps = chosen.model_copy(update={"attribution": None}) if chosen.ensemble and chosen.ensemble.refit else chosen
    with torch_threads(threads_for(network, chosen.fit.batch_rows or len(table.dataset.train))):
        finished = finish(network, steps, table, check, on_message)
    finished = replace(finished, notes=(*diagnostics, *finished.notes))
    judged = _judge(way, state, table, finished, check, on_message)
    if finished.splines is None:
        return judged

    def keep_splines(why: str) -> JudgedFit:
        other = finished.with_splines(why)
        if chosen.attribution is not None:
            other = add_attribution(other, chosen.attribution, table)
        return _judge(way, state, table, other, check, on_message)

    return replace(judged, keep_splines=keep_splines)


def _judge(
    way: FreshFit, state: FitState, table: StepData, finished: Finished, check: Check, on_message: OnMessage
) -> JudgedFit:
    """Judge the network that the steps after the fit gave."""
    dataset, network, chosen = table.dataset, way.network(state), way.chosen(state)
    trained = Trained(finished.kan, table.inputs, table.outputs)
    if (calibrated := calibrate_fit(way, state, dataset, trained, chosen)) is not None:
        trained = calibrated.trained
    bounded = add_intervals(way, state, dataset, trained, chosen)
    trained, intervals = bounded.trained, bounded.intervals
    if intervals is not None:
        intervals = compare_with_pair(intervals, chosen.baseline, dataset, trained, check, on_message)
    published = dataset.without_validation() if chosen.validation_only_trains else dataset
    out_of_fold = None if len(dataset.test) else _judge_out_of_fold(way, state, dataset)
    judged = out_of_fold or judge(published, trained)
    return JudgedFit(
        dataset=published,
        trained=trained,
        recipe=chosen,
        history=(*state.history, *finished.history),
        notes=finished.notes,
        metrics={**way.metrics(state), **finished.metrics},
        judged=judged if calibrated is None else calibrated.judged(judged, are_divided=out_of_fold is None),
        formula=finished.formula,
        latex=finished.latex,
        attribution=finished.attribution,
        formula_details=_describe_formula(dataset, finished, table),
        intervals=intervals,
        chose=bounded.chose if calibrated is None else calibrated.chose,
        calibrated=calibrated,
        covariances=way.covariances(state) if finished.kan is network else None,
    )


@dataclass(frozen=True)
class Bounded:
    """A network with intervals, if the recipe has [intervals]; the fields are as of :class:`JudgedFit`."""

    trained: Trained
    intervals: Intervals | None = None
    chose: RowNumbers | None = None


def add_intervals(
    way: FreshFit, state: FitState, dataset: Dataset, trained: Trained, recipe: Recipe, before: RowNumbers | None = None
) -> Bounded:
    """Put intervals around the answers of a network, and judge them.

    Args:
        way: The fit.
        state: At its end.
        dataset: Its rows.
        trained: The network to publish.
        recipe: With or without [intervals].
        before: Numbers of the rows that chose the plan of this fit before it began; None: there are none.

    Raises:
        IntervalsFailed: too few rows.
    """
    if recipe.intervals is None or (rows := way.apart(state)) is None:
        return Bounded(trained)
    if before is not None:
        rows = rows.without(before)
    calibrated = calibrate(recipe, dataset, trained, rows)
    trained = replace(trained, intervals=calibrated.intervals)
    return Bounded(trained, judge_intervals(calibrated, dataset, trained), rows.chose)


def _judge_out_of_fold(way: FreshFit, state: FitState, dataset: Dataset) -> Judged | None:
    """Without test rows: the answers of single members, each to the rows that it did not train on."""
    if (found := way.out_of_fold(state)) is None:
        return None
    return judge_answers(dataset, *found, "rows (each by a member that did not train on it)")


def _describe_formula(dataset: Dataset, finished: Finished, table: StepData) -> Formula | None:
    if (found := finished.found) is None:
        return None
    formula, network = (Trained(kan, table.inputs, table.outputs) for kan in (found.kan, found.splines))
    return formula_details(dataset, found.written, formula, network, served=found.is_served)
