"""The refit of an ensemble on all rows, after the test rows have judged it."""

from dataclasses import replace

from training.data.dataset import prepare_table
from training.data.preparation import input_transform, output_transform
from training.data.table import Table
from training.ensemble.plan import EnsembleFit
from training.pipelines.fresh.judged_fit import JudgedFit
from training.pipelines.fresh.kept_fit import KeptFit, stop_if_asked
from training.pipelines.interruption import Interruption
from training.pipelines.run import Run
from training.pipelines.watcher import Watcher
from training.publishing.export import Trained
from training.publishing.manifest import predict
from training.publishing.metrics import evaluate
from training.steps import StepData, finish


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
    dataset = prepare_table(recipe, *source, all_train=True)
    table = StepData.of(
        dataset, input_transform(dataset, recipe.inputs.scaling), output_transform(dataset), judged.trained.kan.dtype
    )
    way = EnsembleFit.of(recipe, dataset, table.inputs, table.outputs, judged.trained.kan.dtype)
    fit = KeptFit(way, recipe, dataset, run.folder.refit)
    watcher.on_refit(dataset, recipe)
    resumed = run.resume and fit.folder.has_state()
    state = fit.go_on(fit.folder.load_state(fit.identity)[0] if resumed else way.begin(), stop, watcher)
    finished = finish(way.network(state), recipe, table, lambda: stop_if_asked(stop, run.folder), watcher.on_message)
    test = evaluate(judged.dataset, lambda rows: predict(judged.trained, judged.dataset.x[rows]))
    tested = len(judged.dataset.test)
    return replace(
        judged,
        dataset=dataset,
        trained=Trained(finished.kan, table.inputs, table.outputs),
        history=tuple(state.history),
        notes=(
            *judged.notes,
            *way.notes(state),
            *finished.notes,
            f"refit     on all {len(dataset.train)} rows; the {tested} test rows judged the fit before it",
        ),
        metrics={
            **judged.metrics,
            **{name: value for name, value in test.items() if name.startswith("test_")},
            **way.metrics(state),
        },
        attribution=finished.attribution,
        judged=judged.judged and replace(judged.judged, which="test rows, by the fit before the refit"),
        tested_rows=tested,
    )
