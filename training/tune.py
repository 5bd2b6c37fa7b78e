"""Lower a published version again, for the machine that serves it, and publish the result as the next version."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import ModelManifest
from kan_model import checkpoint
from kan_model.lowering.precision import PRECISIONS
from training.errors import TrainingError
from training.export import NETWORK, Exported, Plan, Trained, describe, explanation, export, files, metadata
from training.manifest import library_version, timestamp
from training.publish import Published, check_successor, publish, published_versions, read_manifest
from training.report import NAME as REPORT

MAX_ROWS = 65_536
_ROWS = (1, 32, 1024)


class TuneError(TrainingError):
    """The version cannot be lowered again."""


def tune(folder: Path, tune_for: Sequence[int] | None = None) -> Published:
    """Time all strategies here and publish the fastest as the next version: same network, same metrics.

    Args:
        folder: ``models/<name>/<version>``; it is left as it is.
        tune_for: Numbers of rows that are served at once; None: those that the version was tuned for.

    Raises:
        TuneError: no such version, one without its network, or one that is not the newest.
        VerificationFailed, PublishError: as in training.
    """
    folder = folder.absolute()
    manifest = read_manifest(folder)
    if manifest is None:
        raise TuneError(f"{folder}: no model version: wanted a folder models/NAME/VERSION with a whole manifest.json")
    if (manifest.name, str(manifest.version)) != (folder.parent.name, folder.name):
        raise TuneError(
            f"{folder}: its manifest.json is of version {manifest.version} of {manifest.name}; wanted the folder as it "
            "was published"
        )
    _check_newest(folder)
    check_successor(folder.parent.parent, manifest)
    trained = _trained(folder, manifest)
    plan = _plan(folder, manifest, tune_for)
    exported = export(trained, plan, scale=_scale(folder, manifest, trained))
    tuned = _tuned(manifest, exported)
    props = metadata(tuned.name, exported.trained.kan, tuned.library_version)
    # What was learned is the same, and the table it is told with is not at hand.
    report = {REPORT: (folder / REPORT).read_bytes()} if (folder / REPORT).is_file() else {}
    return publish(folder.parent.parent, tuned, files(exported, props, report), after=manifest.version)


def _plan(folder: Path, manifest: ModelManifest, tune_for: Sequence[int] | None) -> Plan:
    """As the version was made, for the numbers of rows that are asked for."""
    lowering = manifest.lowering
    rows = tuple(dict.fromkeys(tune_for or lowering.tuned_for or _ROWS))
    precision = next((each for each in PRECISIONS if each == (lowering.precision or "float32")), None)
    if precision is None or not 0 < lowering.tolerance < np.inf or not all(1 <= each <= MAX_ROWS for each in rows):
        raise TuneError(
            f"{folder}: its manifest.json has tolerance {lowering.tolerance:g}, precision {lowering.precision!r}, rows "
            f"{list(rows)}; wanted a tolerance above 0, {', '.join(PRECISIONS)}, rows from 1 to {MAX_ROWS}"
        )
    return Plan(lowering.tolerance, rows, precision)


def _scale(folder: Path, manifest: ModelManifest, trained: Trained) -> NDArray[np.float64]:
    """What errors are relative to, as training found it."""
    scale = np.array(manifest.lowering.output_scale)
    width = trained.kan.width
    if (len(manifest.features), len(scale)) != (width[0], width[-1]) or not np.all((scale > 0) & np.isfinite(scale)):
        raise TuneError(
            f"{folder}: its manifest.json has {len(manifest.features)} features and output_scale {scale.tolist()}; its "
            f"network wants {width[0]} features and {width[-1]} numbers above 0"
        )
    return scale


def _check_newest(folder: Path) -> None:
    """Tuning must not bring an old network back."""
    newest = published_versions(folder.parent)[-1]
    if str(newest) != folder.name:
        raise TuneError(f"{folder}: version {newest} is newer; tune that one: {folder.parent / str(newest)}")


def _trained(folder: Path, manifest: ModelManifest) -> Trained:
    """The version's network, as it was published."""
    listed = {file.name: file.sha256 for file in manifest.files}
    if NETWORK not in listed:
        raise TuneError(
            f"{folder}: the version holds no {NETWORK} (kan-serving {manifest.library_version} wrote it); train it anew"
        )
    try:
        content = (folder / NETWORK).read_bytes()
        if hashlib.sha256(content).hexdigest() != listed[NETWORK]:
            raise TuneError(f"{folder / NETWORK}: its sha256 is not the one in manifest.json; the file was changed")
        return Trained(checkpoint.from_bytes(content), *checkpoint.transforms(content))
    except OSError as error:
        raise TuneError(f"{folder / NETWORK}: cannot read it: {error.strerror}") from None
    except ValueError as error:
        raise TuneError(f"{folder / NETWORK}: {error}") from None


def _tuned(manifest: ModelManifest, exported: Exported) -> ModelManifest:
    tuned = ModelManifest()
    tuned.CopyFrom(manifest)
    tuned.created, tuned.library_version = timestamp(), library_version()
    # What another strategy costs in a coarse format cannot be known without the table: metrics are the network's own.
    for name, loss in manifest.lowering.precision_loss.items():
        tuned.metrics[name] += loss
    tuned.lowering.CopyFrom(describe(exported, {}))
    tuned.explanation.CopyFrom(explanation(exported.trained.kan))
    tuned.preferred_rows = exported.lowered.preferred_rows
    return tuned
