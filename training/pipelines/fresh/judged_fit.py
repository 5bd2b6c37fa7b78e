"""What a fit gives, and what is known of it: everything that a version is made of but its graphs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kan_api.v1.manifest_pb2 import Calibration, Formula
from training.calibration import divide_scores
from training.data.dataset import Dataset
from training.data.split import RowNumbers
from training.fitting.fit import FitState
from training.fitting.record import Record
from training.intervals.calibrate import calibrate
from training.intervals.judge import Sureness, judge_intervals
from training.pipelines.fresh.calibrated import CalibratedFit, calibrate_fit
from training.pipelines.fresh.fit import FreshFit
from training.pipelines.release import judge_answers, judge_on_test
from training.publishing.export import Trained
from training.publishing.whole_formula import formula_details
from training.recipe.config import Recipe
from training.report.judged import Judged
from training.steps import Finished, StepData, finish
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
        notes: For terminal and report.
        metrics: Of the out-of-fold answers, the search and the baselines; after a refit also of the test rows. The
            manifest measures the others on the published network.
        judged: Answers to the test rows; without such rows those out of fold; None: there are none.
        formula: One line an output, or "".
        latex: The same as LaTeX.
        attribution: The score of each feature, or empty.
        tested_rows: After a refit the number of rows that judged the network before it; else 0.
        formula_details: The formula beside the network, also if it is not the one to publish; None: there is none.
        calibration: By what the scores of the classes were divided; None: the recipe does not ask for it.
        sureness: The intervals around the answers, and how good they are; None: there are none.
        chose: Numbers of the rows that chose the plan of the fit; known where there are intervals.
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
    calibration: Calibration | None = None
    sureness: Sureness | None = None
    chose: RowNumbers | None = None


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
    dataset, network, chosen = table.dataset, way.network(state), way.chosen(state)
    diagnostics = way.notes(state)
    # The refit computes the attribution of its own network.
    steps = chosen.model_copy(update={"attribution": None}) if chosen.ensemble and chosen.ensemble.refit else chosen
    with torch_threads(threads_for(network, chosen.fit.batch_rows or len(dataset.train))):
        finished = finish(network, steps, table, check, on_message)
    made = calibrate_fit(way, state, chosen, dataset, Trained(finished.kan, table.inputs, table.outputs))
    bounded = add_intervals(way, state, dataset, made.trained, chosen)
    trained = bounded.trained
    return JudgedFit(
        dataset=dataset,
        trained=trained,
        recipe=chosen,
        history=(*state.history, *finished.history),
        notes=(*diagnostics, *finished.notes, *made.notes()),
        metrics={**way.metrics(state), **finished.metrics},
        judged=_without_temperature(
            judge_on_test(dataset, trained) if len(dataset.test) else _judge_out_of_fold(way, state, made, dataset),
            made.calibration,
        ),
        formula=finished.formula,
        latex=finished.latex,
        attribution=finished.attribution,
        formula_details=_describe_formula(dataset, finished, table),
        calibration=made.calibration,
        sureness=bounded.sureness,
        chose=bounded.chose if made.chose is None else made.chose,
    )


@dataclass(frozen=True)
class Bounded:
    """A network with intervals, if the recipe has [intervals]; the fields are as of :class:`JudgedFit`."""

    trained: Trained
    sureness: Sureness | None = None
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
    calibrated = calibrate(recipe.intervals, dataset, trained, rows)
    trained = replace(trained, intervals=calibrated.intervals)
    return Bounded(trained, judge_intervals(calibrated, dataset, trained), rows.chose)


def _judge_out_of_fold(way: FreshFit, state: FitState, made: CalibratedFit, dataset: Dataset) -> Judged | None:
    """Without test rows: the answers of single members, each to the rows that it did not train on."""
    if (found := way.out_of_fold(state)) is None:
        return None
    numbers, answers = found
    if made.calibration is not None:
        answers = divide_scores(answers, made.calibration.temperature)
    return judge_answers(dataset, numbers, answers, "rows, each by a member that did not train on it,")


def _without_temperature(judged: Judged | None, calibration: Calibration | None) -> Judged | None:
    """The answers, with those of the undivided scores beside them."""
    if judged is None or calibration is None:
        return judged
    return replace(judged, uncalibrated=divide_scores(judged.answers, 1 / calibration.temperature))


def _describe_formula(dataset: Dataset, finished: Finished, table: StepData) -> Formula | None:
    if (found := finished.found) is None:
        return None
    formula, network = (Trained(kan, table.inputs, table.outputs) for kan in (found.kan, found.splines))
    return formula_details(dataset, found.written, formula, network, served=found.is_served)
