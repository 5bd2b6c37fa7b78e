"""Lower a published version again, for the machine that serves it, and publish the result as the next version."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from kan_api.v1.manifest_pb2 import ModelManifest
from kan_model import KAN
from kan_model.lowering.choose.search import applicable_strategies
from kan_model.lowering.driver import STRATEGIES
from kan_model.lowering.emit.precision import PRECISIONS
from training.explaining import attribution_message, reference_of_manifest
from training.publishing.export import Exported, Plan, describe, explanation, export, files
from training.publishing.manifest import library_version, timestamp
from training.publishing.publish import Published, check_successor, publish
from training.publishing.version import VersionError, read_newest
from training.recipe import MAX_ROWS
from training.report.report import NAME as REPORT

_ROWS = (1, 32, 1024)


def tune(
    folder: Path, tune_for: Sequence[int] | None = None, on_message: Callable[[str], None] = lambda _: None
) -> Published:
    """Time all strategies here and publish the fastest as the next version: same network, same metrics.

    Args:
        folder: ``models/<name>/<version>``; it is left as it is.
        tune_for: Numbers of rows that are served at once; None: those that the version was tuned for.
        on_message: Is told what will be timed, before the minutes that it takes.

    Raises:
        VersionError: no such version, one without its network, or one that is not the newest.
        VerificationFailed, PublishError: as in training.
    """
    version = read_newest(folder, "tune that one")
    folder, manifest = version.folder, version.manifest
    check_successor(folder.parent.parent, manifest)
    plan = _read_plan(folder, manifest, tune_for)
    on_message(_describe(version.trained.kan, plan))
    exported = export(
        version.trained,
        plan,
        scale=version.output_scale,
        reference=reference_of_manifest(manifest),
    )
    tuned = _update_manifest(manifest, exported)
    # What was learned is the same, and the table it is told with is not at hand.
    report = {REPORT: (folder / REPORT).read_bytes()} if (folder / REPORT).is_file() else {}
    return publish(folder.parent.parent, tuned, files(exported, tuned, report), after=manifest.version)


def _read_plan(folder: Path, manifest: ModelManifest, tune_for: Sequence[int] | None) -> Plan:
    """As the version was made, for the numbers of rows that are asked for."""
    lowering = manifest.lowering
    rows = tuple(dict.fromkeys(tune_for or lowering.tuned_for or _ROWS))
    precision = next((each for each in PRECISIONS if each == (lowering.precision or "float32")), None)
    if precision is None or not 0 < lowering.tolerance < np.inf or not all(1 <= each <= MAX_ROWS for each in rows):
        raise VersionError(
            f"{folder}: its manifest.json has tolerance {lowering.tolerance:g}, precision {lowering.precision!r}, rows "
            f"{list(rows)}; wanted a tolerance above 0, {', '.join(PRECISIONS)}, rows from 1 to {MAX_ROWS}"
        )
    return Plan(lowering.tolerance, rows, precision)


def _describe(kan: KAN, plan: Plan) -> str:
    forms = {
        strategy.name
        for index, layer in enumerate(kan.layers)
        for strategy in applicable_strategies(layer, index, STRATEGIES, plan.precision)
    }
    layers = "1 layer" if len(kan.layers) == 1 else f"{len(kan.layers)} layers"
    return f"timing {len(forms)} forms of {layers}, for {', '.join(map(str, plan.tune_for))} rows at once"


def _update_manifest(manifest: ModelManifest, exported: Exported) -> ModelManifest:
    tuned = ModelManifest()
    tuned.CopyFrom(manifest)
    tuned.created, tuned.library_version = timestamp(), library_version()
    # What another strategy costs in a coarse format cannot be known without the table: metrics are the network's own.
    for name, loss in manifest.lowering.precision_loss.items():
        tuned.metrics[name] += loss
    tuned.lowering.CopyFrom(describe(exported, {}))
    tuned.explanation.CopyFrom(explanation(exported.trained.kan))
    if (attribution := attribution_message(exported.attribution)) is not None:
        tuned.attribution_graph.CopyFrom(attribution)
    tuned.preferred_rows = exported.lowered.preferred_rows
    return tuned
