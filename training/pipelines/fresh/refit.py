"""The refit of an ensemble on all rows, after the test rows have judged it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from kan_api.metric_names import shown_name
from training.data.dataset import prepare_table
from training.data.preparation import input_transform, output_transform
from training.data.split import Split
from training.data.table import Table
from training.ensemble.plan import EnsembleFit
from training.intervals.judge import judged_as
from training.pipelines.fresh.calibrated import calibrate_fit
from training.pipelines.fresh.judged_fit import JudgedFit, add_intervals
from training.pipelines.fresh.kept_fit import KeptFit, stop_if_asked
from training.pipelines.interruption import Interruption
from training.pipelines.run import Run
from training.pipelines.watcher import Watcher
from training.publishing.export import Trained
from training.publishing.manifest import predict
from training.publishing.metrics import score_rows
from training.steps import StepData, finish
from training.threads import threads_for, torch_threads

# A refit whose out-of-fold error is so many times that of the fit before is told.
_WORSE = 1.2


def fit_again(
    run: Run,
    judged: JudgedFit,
    source: tuple[Table, tuple[str, ...], str | tuple[str, ...]],
    stop: Interruption,
    watcher: Watcher,
) -> JudgedFit:
    """Fit the recipe again on all rows.

    The test metrics and the baselines stay those of the network that the test rows judged: nothing is left to judge the
    new one but its out-of-fold answers.

    Args:
        run: What and where.
        judged: The fit before.
        source: The table, the names of its inputs, and of its targets.
        stop: Whether the run shall end.
        watcher: Is told of the progress.

    Raises:
        Interrupted: SIGINT came; the states of both fits are kept.
    """
    recipe = judged.recipe.model_copy(update={"baseline": None, "attribution": run.recipe.attribution})
    dataset = prepare_table(recipe, *source, arrange=Split.joined)
    table = StepData.of(
        dataset, input_transform(dataset, recipe.inputs.scaling), output_transform(dataset), judged.trained.kan.dtype
    )
    way = EnsembleFit.of(recipe, dataset, table.inputs, table.outputs, judged.trained.kan.dtype)
    fit = KeptFit(way, recipe, dataset, run.folder.refit)
    watcher.on_refit(dataset, recipe)
    resumed = run.resume and fit.folder.has_state()
    state = fit.go_on(fit.folder.load_state(fit.identity)[0] if resumed else way.begin(), stop, watcher)
    network = way.network(state)
    with torch_threads(threads_for(network, recipe.fit.batch_rows or len(dataset.train))):
        finished = finish(network, recipe, table, lambda: stop_if_asked(stop, run.folder), watcher.on_message)
    tested, metrics = len(judged.dataset.test), way.metrics(state)
    answers = predict(judged.trained, judged.dataset.x[judged.dataset.test])
    test = score_rows(judged.dataset, judged.dataset.test, answers)
    trained = Trained(finished.kan, table.inputs, table.outputs)
    if (calibrated := calibrate_fit(way, state, dataset, trained, recipe, before=judged.chose)) is not None:
        trained = calibrated.trained
    bounded = add_intervals(way, state, dataset, trained, recipe, before=judged.chose)
    return replace(
        judged,
        dataset=dataset,
        trained=bounded.trained,
        history=tuple(state.history),
        notes=(
            *judged.notes,
            *way.notes(state),
            *_warn_of_worse(judged.metrics, metrics),
            *finished.notes,
            f"refit     on all {len(dataset.train)} rows; the {tested} test rows judged the fit before it",
        ),
        metrics={
            **judged.metrics,
            **{f"test_{name}": value for name, value in test.items()},
            **metrics,
        },
        attribution=finished.attribution,
        judged=judged.judged and replace(judged.judged, which="test rows (by the fit before the refit)"),
        tested_rows=tested,
        calibrated=calibrated and calibrated.judged_as(judged.calibrated),
        intervals=bounded.intervals and judged_as(bounded.intervals, judged.intervals),
    )


def _warn_of_worse(before: Mapping[str, float], after: Mapping[str, float]) -> Iterator[str]:
    """That the test rows are harder than the others: then no score tells how good the published network is."""
    for name in ("validation_log_loss", "validation_rmse"):
        if name in before and name in after and after[name] > _WORSE * before[name]:
            shown = shown_name(name.removeprefix("validation_"))
            yield (
                f"warning   the out-of-fold {shown} rose from {before[name]:.4g} to {after[name]:.4g} in the refit: "
                "rows of the test part are unlike the others, or one of them is far off"
            )
