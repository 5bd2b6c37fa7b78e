"""A published version learns on from new rows, and is published as the next one."""

import numpy as np

from training.data.encoding import Numbers
from training.errors import Interrupted
from training.pipelines.continuation_fit import ContinuationError, describe_next_version, learn_on
from training.pipelines.continuation_start import Start, read_start
from training.pipelines.interruption import catch_interruption
from training.pipelines.release import export_graphs, judge, make_report, publish_version
from training.pipelines.run import Run
from training.pipelines.run_folder import RunError
from training.pipelines.watcher import Watcher
from training.publishing.drift import describe_drift
from training.publishing.manifest import build_manifest, outline
from training.publishing.publish import Published, check_successor

__all__ = ["ContinuationError", "continue_version", "learn_on"]

_HINT_AGAIN = "change [verify] tolerance and run it again"


def continue_version(run: Run, watcher: Watcher) -> Published:
    """Train the version of ``[model] continue_from`` further, and publish the next one; the run folder is locked.

    Args:
        run: What and where.
        watcher: Is told of the progress.

    Raises:
        Interrupted: SIGINT came; nothing is published, and no state is kept.
        TrainingError: anything else that the person at the keyboard can mend; nothing is published then.
    """
    recipe = run.recipe
    _check_no_state(run)
    try:
        start = read_start(recipe, run.models)
        dataset, version = start.dataset, start.version
        check_successor(run.models, outline(recipe, dataset))
        watcher.on_prepared(dataset)
        learned = learn_on(recipe, start, lambda record: watcher.on_evaluation(record, ended=False))
        watcher.on_evaluation(learned.history[-1], ended=True)
        exported = export_graphs(recipe, dataset, learned.trained, _HINT_AGAIN, version.output_scale)
        manifest = describe_next_version(build_manifest(recipe, dataset, exported), start, learned)
        describe_drift(manifest, learned.trained, _rows_learned_from(start), dataset.input_columns)
        judged = judge(dataset, learned.trained)
        page = make_report(dataset, learned.trained, manifest, learned.history, learned.notes, judged)
    except KeyboardInterrupt:
        # The fit of a continuation has no state that could be kept; it is short, and the same again from its start.
        raise Interrupted("stopped, and nothing was published: a continuation is run again from its start") from None
    with catch_interruption():
        return publish_version(run, dataset, manifest, exported, page, learned.notes, after=version.manifest.version)


def _rows_learned_from(start: Start) -> Numbers:
    """The training rows ``[rows, features]``, raw: the new ones and, where the recipe names them, the old ones."""
    new = start.dataset.x[start.dataset.train]
    return new if start.old_rows is None else np.concatenate([start.old_rows, new])


def _check_no_state(run: Run) -> None:
    if run.resume:
        raise RunError("--resume: a continuation keeps no state; run it without")
    if run.folder.has_state() and not run.fresh:
        raise RunError(
            f"{run.folder.path} holds an unfinished run; finish it by its recipe and --resume, or drop it by --fresh"
        )
