"""What is known of an imported network, as its manifest and its report tell it; what is not known is left out."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from kan_api.v1 import manifest_pb2 as pb
from kan_model import KAN
from training.data.encoding import Numbers
from training.data.objective.loss_function import Task
from training.data.split import RowNumbers
from training.errors import quoted
from training.explaining import ReferenceRow, median_of_columns
from training.pipelines.importing.rows import Given, Target, read_held_out, read_training, spread
from training.pipelines.importing.wanted import Import, ImportRefused, check_different
from training.publishing.export import Trained
from training.publishing.manifest import output_names, predict
from training.publishing.message.histogram import histogram
from training.publishing.metrics import scores
from training.publishing.whole_formula import WholeFormula, formula_text, whole_formula
from training.report.judged import Judged

# Where no table tells the shape of the curves.
_SPREAD_ROWS = 1000


@dataclass(frozen=True)
class Known:
    """What is known of the network's inputs.

    Attributes:
        names: Of the inputs.
        low: ``[inputs]``, of the training rows, or of the first grids where they are not at hand.
        high: ``[inputs]``, likewise.
        data: Rows that trained it.
        held_out: Rows that it never saw.
    """

    names: tuple[str, ...]
    low: Numbers
    high: Numbers
    data: Given | None
    held_out: Given | None


def read_known(wanted: Import, kan: KAN) -> Known:
    """Read the tables, if there are any.

    Raises:
        ImportRefused: another number of names than the network has inputs, an empty one, or one that comes twice.
        DataError: a table that does not hold one number an input in every row, or a target that is no truth.
    """
    width = kan.width[0]
    goal = Target(wanted.target, wanted.classes, kan.width[-1])
    data = None if wanted.data is None else read_training(wanted.data, width, goal, wanted.decimal)
    names = data.names if data else wanted.features or None
    if names is not None and len(names) != width:
        raise ImportRefused(f"{len(names)} features are named; the network reads {width}")
    check_different("features", names or ())
    if names is None and wanted.held_out is None:
        names = tuple(f"x{place}" for place in range(1, width + 1))
    if wanted.target in (names or ()):
        raise ImportRefused(
            f"the target {quoted(wanted.target)} is among the features; --target says what the network predicts"
        )
    held_out = None
    if wanted.held_out is not None:
        held_out = read_held_out(wanted.held_out, width, names, goal, wanted.decimal)
    if data is not None:
        return Known(data.names, data.x.min(axis=0), data.x.max(axis=0), data, held_out)
    names = held_out.names if held_out else names
    assert names is not None, "of held-out rows, or made above"
    return Known(names, *_read_domain(kan), None, held_out)


def outline(wanted: Import, kan: KAN, known: Known) -> pb.ModelManifest:
    """Name, task, classes, columns and features."""
    # A column of one value may be read all the same: then it is no constant in the manifest's sense, of weight zero.
    unread = ~kan.layers[0].active_edges.any(dim=0).numpy()
    features = []
    for place, name in enumerate(known.names):
        low, high = float(known.low[place]), float(known.high[place])
        feature = pb.Feature(name=name, column=name, low=low, high=high)
        if known.data is not None and low == high:
            feature.constant = bool(unread[place])
        elif known.data is not None:
            feature.histogram.CopyFrom(histogram(known.data.x[:, place], len(known.names)))
        features.append(feature)
    return pb.ModelManifest(
        name=wanted.name,
        task=pb.TASK_CLASSIFICATION if wanted.classes else pb.TASK_REGRESSION,
        target=wanted.target,
        classes=wanted.classes,
        columns=[pb.Column(name=name) for name in known.names],
        features=features,
    )


def choose_reference(known: Known) -> ReferenceRow:
    """Medians of the rows that trained the network; without them the middle of the first grids."""
    rows = (known.low + known.high)[None] / 2 if known.data is None else known.data.x
    return median_of_columns(known.names, rows)


def summarize_table(known: Known) -> pb.DataSummary:
    """Of the table; empty without one."""
    data, held_out = known.data, known.held_out
    table = data or held_out
    return pb.DataSummary(
        source=table.source if table else "",
        fingerprint=_fingerprint(table) if table else "",
        train_rows=len(data.x) if data else 0,
        test_rows=len(held_out.x) if held_out else 0,
    )


def judge(manifest: pb.ModelManifest, trained: Trained, known: Known) -> tuple[Judged | None, tuple[str, ...]]:
    """Write the metrics into the manifest.

    Returns:
        Answers for pictures, to rows it never saw where there are any; and what a person should know.
    """
    judged: Judged | None = None
    notes: list[str] = []
    task: Task = "classification" if manifest.classes else "regression"
    for part, which, given in (("train", "training rows", known.data), ("test", "test rows", known.held_out)):
        if given is None or not given.has_target:
            continue
        if given.truth is None:
            outputs = trained.kan.width[-1]
            notes.append(f"not judged by {given.source}: the network has {outputs} outputs, its target is one column")
            continue
        answers = predict(trained, given.x)
        silent = int((~np.isfinite(answers)).any(axis=1).sum())
        if silent:
            notes.append(f"not judged by {given.source}: the network has no answer to {silent} of {len(answers)} rows")
            continue
        for name, value in scores(task, given.truth, answers).items():
            manifest.metrics[f"{part}_{name}"] = value
        trivial = (
            None if known.data is None or known.data.truth is None else _answer_constant(known.data.truth, answers)
        )
        judged = Judged(which, given.truth, answers, trivial, given.x)
    return judged, tuple(notes)


def _answer_constant(truth: Numbers | RowNumbers, answers: Numbers) -> Numbers:
    """The mean, or the class frequencies, of the training rows, as the answer to each row."""
    if truth.ndim == 1:
        return np.tile(np.bincount(truth.astype(np.int64), minlength=answers.shape[1]) / len(truth), (len(answers), 1))
    return np.tile(truth.mean(axis=0), (len(answers), 1))


def tell_formula(manifest: pb.ModelManifest, trained: Trained) -> WholeFormula:
    """Write the formula, where there is one, into the manifest; what a person should know of it is in its notes."""
    kan = trained.kan
    names = output_names(manifest.classes, manifest.target, kan.width[-1])
    found = whole_formula(trained, [feature.name for feature in manifest.features], names)
    manifest.formula = found.text
    if found.text:
        manifest.formula_details.CopyFrom(formula_text(found, served=True))
    splines = any(int(layer.active_edges.sum()) > len(layer.symbolic_places) for layer in kan.layers)
    # That splines are no formula need not be said; that a formula is too long, or holds infinities, has to be.
    return replace(found, notes=()) if splines and not found.text else found


def choose_curve_rows(kan: KAN, known: Known) -> tuple[Numbers, tuple[str, ...]]:
    """Rows for the curves of the report, and what to say of them."""
    for given in (known.data, known.held_out):
        # One row is a point of a curve.
        if given is not None and len(given.x) > 1:
            return given.x, ()
    low, high = _read_domain(kan)
    text = "no table tells where the data lie: curves are drawn over rows spread evenly over the network's first grids"
    return spread(low, high, _SPREAD_ROWS), (text,)


def _read_domain(kan: KAN) -> tuple[Numbers, Numbers]:
    ends = kan.layers[0].domain.detach().double().numpy()
    return ends[:, 0], ends[:, 1]


def _fingerprint(given: Given) -> str:
    digest = hashlib.sha256(repr((list(given.names), given.x.shape)).encode())
    # One bit pattern for both zeros.
    digest.update((given.x + 0.0).astype("<f4").tobytes())
    if given.truth is not None:
        digest.update(given.truth.astype("<f8").tobytes())
    return digest.hexdigest()
