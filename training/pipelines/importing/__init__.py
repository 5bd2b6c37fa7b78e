"""Publish a network that another library trained: take it over, lower it, verify it, and tell what is known of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from kan_model import KAN
from kan_model.interop import load_efficient_kan_checkpoint, load_pykan_checkpoint
from kan_model.network.transform import Softmax
from training.errors import kind_of
from training.pipelines.importing.account import (
    choose_curve_rows,
    choose_reference,
    judge,
    outline,
    read_known,
    summarize_table,
    tell_formula,
)
from training.pipelines.importing.origin import CHECKPOINT_ENDINGS, describe_origin
from training.pipelines.importing.wanted import Import, ImportRefused, check_ground, check_name, check_task
from training.publishing.drift import describe_drift
from training.publishing.export import Plan, Trained, export, files
from training.publishing.manifest import of_network
from training.publishing.publish import Published, check_successor, publish
from training.publishing.verify import VerificationFailed
from training.report.report import NAME as REPORT
from training.report.report import report

__all__ = ["Import", "ImportRefused", "import_network"]

_HINT = "a larger --tolerance lets it pass"


def import_network(wanted: Import) -> Published:
    """Publish the network as the next version of its model.

    Clients send what the network read in training and get what it answered; a classifier's outputs go through a
    softmax. Without a table the ranges of the inputs are those of the first grids, and there are no histograms; the
    curves in the report are drawn over rows spread over these ranges. Nothing is told of the training: files of other
    libraries do not hold it.

    Raises:
        ImportRefused: no such file, no network of that library or one that has no like here, a name that no model can
            have, or another number of names than the network has inputs or outputs.
        DataError: a table that does not hold one number an input in every row, or a target that is no truth.
        VerificationFailed, PublishError: as in training.
    """
    check_name(wanted.name)
    check_ground(wanted)
    kan = _load_network(wanted)
    taken = describe_origin(wanted)
    check_task(wanted, kan.width[-1])
    known = read_known(wanted, kan)
    expected = outline(wanted, kan, known)
    check_successor(wanted.models, expected)
    trained = Trained(kan, None, Softmax() if wanted.classes else None)
    try:
        exported = export(
            trained,
            Plan(wanted.tolerance, tuple(dict.fromkeys(wanted.tune_for)), "float32"),
            training_rows=None if known.data is None else known.data.x.astype(np.float32),
            reference=choose_reference(known),
        )
    except VerificationFailed as error:
        raise VerificationFailed(f"{error}; {_HINT}") from None
    manifest = of_network(exported, {})
    manifest.MergeFrom(expected)
    manifest.origin.CopyFrom(taken)
    manifest.unknown_ground = "" if wanted.unknown_ground == "answer" else wanted.unknown_ground
    manifest.data.CopyFrom(summarize_table(known))
    if known.data is not None:
        describe_drift(manifest, trained, known.data.x, known.names)
    judged, notes = judge(manifest, trained, known)
    told = tell_formula(manifest, trained)
    notes = (*notes, *told.notes)
    rows, how = choose_curve_rows(kan, known)
    page = report(manifest, trained, rows, judged=judged, latex=told.latex, notes=(*notes, *how))
    published = publish(wanted.models, manifest, files(exported, manifest, {REPORT: page}))
    return replace(published, notes=(*notes, *published.notes))


def _stem_hint(path: Path) -> str:
    """The checkpoint of pykan is several files, whose names begin alike."""
    text = "wanted PATH as it was given to saveckpt"
    for ending in CHECKPOINT_ENDINGS:
        if path.name.endswith(ending):
            return f"{text}, without {ending}: {str(path).removesuffix(ending)}"
    return f"{text}, the beginning of {' and '.join(f'…{ending}' for ending in CHECKPOINT_ENDINGS)}"


def _load_network(wanted: Import) -> KAN:
    if wanted.kind == "pykan" and wanted.prefix is not None:
        raise ImportRefused("a prefix is for a KAN inside a larger model of efficient-kan; pykan's checkpoint has none")
    path = wanted.path
    try:
        if wanted.kind == "pykan":
            return load_pykan_checkpoint(path)
        return load_efficient_kan_checkpoint(path, prefix=wanted.prefix)
    except FileNotFoundError as error:
        hint = f"; {_stem_hint(path)}" if wanted.kind == "pykan" else ""
        raise ImportRefused(f"{error.filename or path}: there is no such file{hint}") from None
    except OSError as error:
        message = f"{error.filename or path}: cannot read it: {error.strerror or error}"
        raise kind_of(error, ImportRefused)(message) from None
    except ModuleNotFoundError as error:
        raise ImportRefused(f"{path}: {error}") from None
    except ValueError as error:  # InteropError, and bytes that are no text
        text = " ".join(str(error).split())
        raise ImportRefused(text if str(path) in text else f"{path}: {text}") from None
