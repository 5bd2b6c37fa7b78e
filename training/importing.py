"""Publish a network that another library trained: take it over, lower it, verify it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from kan_api.v1 import manifest_pb2 as pb
from kan_model import KAN
from kan_model.interop import load_efficient_kan_checkpoint, load_pykan_checkpoint
from kan_model.transform import Softmax
from training.column import numbers
from training.config import ModelSection
from training.encoding import Numbers
from training.errors import DataError, TrainingError, quoted
from training.export import Exported, Plan, Trained, describe, explanation, export, files, metadata
from training.magnitude import input_flaw
from training.manifest import library_version, timestamp
from training.publish import Published, check_successor, publish
from training.table import read_table
from training.verify import VerificationFailed

Kind = Literal["pykan", "efficient-kan"]
Task = Literal["regression", "classification"]
_HISTOGRAM_BINS = 20
_HINT = "a larger --tolerance lets it pass"


class ImportRefused(TrainingError):
    """The network cannot be taken over as it was asked for."""


@dataclass(frozen=True)
class Import:
    """What to publish, and what its file does not tell.

    Attributes:
        kind: Whose network it is.
        path: pykan's checkpoint, as it was given to ``saveckpt``; efficient-kan's ``torch.save`` of a state dict.
        name: The model's name in the repository.
        models: The model repository.
        prefix: What stands before ``layers.`` in efficient-kan's names; None: the KAN is the whole model.
        data: Rows as the network read them: numbers only, a header with the names of its inputs; None: not at hand.
        features: Names of the inputs where no table gives them; empty: x1, x2, …
        task: What it predicts; None: classes where they are named, else numbers.
        classes: Names of a classifier's outputs, in their order.
        target: What is predicted; a column of this name in the table is passed over.
        tolerance: Bound on the graph's error against float64.
        tune_for: Numbers of rows for which strategies are timed; empty: none is.
    """

    kind: Kind
    path: Path
    name: str
    models: Path
    prefix: str | None = None
    data: Path | None = None
    features: tuple[str, ...] = ()
    task: Task | None = None
    classes: tuple[str, ...] = ()
    target: str = "target"
    tolerance: float = 1e-5
    tune_for: tuple[int, ...] = (1, 32, 1024)


@dataclass(frozen=True)
class _Inputs:
    """What the network reads; ``x`` is ``[rows, features]``, each value one of float32, or None without a table."""

    names: tuple[str, ...]
    low: Numbers
    high: Numbers
    x: Numbers | None


def import_network(wanted: Import) -> Published:
    """Publish the network as the next version of its model.

    Clients send what the network read in training and get what it answered; a classifier's outputs go through a
    softmax. Without a table the ranges of the inputs are those of the first grids, and there are no histograms.

    Raises:
        ImportRefused: no such file, no network of that library or one that has no like here, a name that no model can
            have, or another number of names than the network has inputs or outputs.
        DataError: a table that does not hold one number an input in every row.
        VerificationFailed, PublishError: as in training.
    """
    _check_name(wanted.name)
    kan = _network(wanted)
    _check_task(wanted, kan.width[-1])
    inputs = _inputs(wanted, kan)
    outline = _outline(wanted, kan, inputs)
    check_successor(wanted.models, outline)
    try:
        exported = export(
            Trained(kan, None, Softmax() if wanted.classes else None),
            Plan(wanted.tolerance, tuple(dict.fromkeys(wanted.tune_for)), "float32"),
            training_rows=None if inputs.x is None else inputs.x.astype(np.float32),
        )
    except VerificationFailed as error:
        raise VerificationFailed(f"{error}; {_HINT}") from None
    manifest = _manifest(wanted, outline, exported, inputs)
    return publish(wanted.models, manifest, files(exported, metadata(wanted.name, kan, manifest.library_version), {}))


def _check_name(name: str) -> None:
    try:
        ModelSection(name=name)
    except ValidationError:
        raise ImportRefused(
            f"a model cannot be called {quoted(name)}; wanted letters of English, digits, '_', '-' and '.', 100 at "
            "most, a letter, digit or '_' first"
        ) from None


def _check_task(wanted: Import, outputs: int) -> None:
    classes = wanted.classes
    if wanted.task == "classification" and not classes:
        raise ImportRefused(f"classes are not named; wanted a name for each of the network's outputs: {outputs}")
    if wanted.task == "regression" and classes:
        raise ImportRefused("classes are named; wanted none for a regression")
    if len(classes) == 1:
        raise ImportRefused(f"one class is named, {quoted(classes[0])}; wanted two or more")
    if classes and len(classes) != outputs:
        raise ImportRefused(f"{len(classes)} classes are named; the network has {outputs} outputs")
    _check_different("classes", classes)


def _check_different(what: str, names: Sequence[str]) -> None:
    if "" in names:
        raise ImportRefused(f"an empty name is among the {what}")
    if len(set(names)) < len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise ImportRefused(f"{quoted(twice)} is twice among the {what}")


def _network(wanted: Import) -> KAN:
    if wanted.kind == "pykan" and wanted.prefix is not None:
        raise ImportRefused("a prefix is for a KAN inside a larger model of efficient-kan; pykan's checkpoint has none")
    path = wanted.path
    try:
        if wanted.kind == "pykan":
            return load_pykan_checkpoint(path)
        return load_efficient_kan_checkpoint(path, prefix=wanted.prefix)
    except FileNotFoundError as error:
        raise ImportRefused(f"{error.filename or path}: there is no such file") from None
    except OSError as error:
        raise ImportRefused(f"{error.filename or path}: cannot read it: {error.strerror or error}") from None
    except ModuleNotFoundError as error:
        raise ImportRefused(f"{path}: {error}") from None
    except ValueError as error:  # InteropError, and bytes that are no text
        text = " ".join(str(error).split())
        raise ImportRefused(text if str(path) in text else f"{path}: {text}") from None


def _inputs(wanted: Import, kan: KAN) -> _Inputs:
    width = kan.width[0]
    if wanted.data is not None:
        return _read(wanted.data, wanted.target, width)
    names = wanted.features or tuple(f"x{place}" for place in range(1, width + 1))
    if len(names) != width:
        raise ImportRefused(f"{len(names)} features are named; the network reads {width}")
    _check_different("features", names)
    domain = kan.layers[0].domain.detach().double().numpy()
    return _Inputs(names, domain[:, 0], domain[:, 1], None)


def _read(path: Path, target: str, width: int) -> _Inputs:
    table = read_table(path)
    names = tuple(name for name in table.cells if name != target)
    if len(names) != width:
        without = f" beside the target {quoted(target)}" if target in table.cells else ""
        raise DataError(f"{path}: {len(names)} columns{without}; the network reads {width}, wanted one column for each")
    # As clients send them.
    x = np.stack([numbers(table, name) for name in names], axis=1).astype(np.float32).astype(np.float64)
    low, high = x.min(axis=0), x.max(axis=0)
    for place, name in enumerate(names):
        missing = np.isnan(x[:, place])
        if missing.any():
            where = table.place(int(np.argmax(missing)))
            raise table.problem(name, f"{where} is missing or NaN; wanted a number in every row")
        if flaw := input_flaw(low[place], high[place]):
            raise table.problem(name, flaw)
    return _Inputs(names, low, high, x)


def _outline(wanted: Import, kan: KAN, inputs: _Inputs) -> pb.ModelManifest:
    """Name, task, classes, columns and features."""
    # A column of one value may be read all the same: then it is no constant in the manifest's sense, of weight zero.
    unread = ~kan.layers[0].active_edges.any(dim=0).numpy()
    features = []
    for place, name in enumerate(inputs.names):
        low, high = float(inputs.low[place]), float(inputs.high[place])
        feature = pb.Feature(name=name, column=name, low=low, high=high)
        if inputs.x is not None and low == high:
            feature.constant = bool(unread[place])
        elif inputs.x is not None:
            feature.histogram.CopyFrom(_histogram(inputs.x[:, place]))
        features.append(feature)
    return pb.ModelManifest(
        name=wanted.name,
        task=pb.TASK_CLASSIFICATION if wanted.classes else pb.TASK_REGRESSION,
        target=wanted.target,
        classes=wanted.classes,
        columns=[pb.Column(name=name) for name in inputs.names],
        features=features,
    )


def _manifest(wanted: Import, outline: pb.ModelManifest, exported: Exported, inputs: _Inputs) -> pb.ModelManifest:
    """Everything but version and files, which :mod:`training.publish` fills in; no recipe and no metrics."""
    kan, graph = exported.trained.kan, exported.lowered.model.graph
    first = kan.layers[0]
    manifest = pb.ModelManifest(
        created=timestamp(),
        library_version=library_version(),
        inputs=[pb.TensorSpec(name=graph.input[0].name, datatype="FP32", shape=[-1, kan.width[0]])],
        outputs=[pb.TensorSpec(name=graph.output[0].name, datatype="FP32", shape=[-1, kan.width[-1]])],
        network=pb.Network(
            width=kan.width,
            grid_size=first.grid_size,
            degree=first.degree,
            outside=first.outside,
            parameters=sum(parameter.numel() for parameter in kan.parameters()),
        ),
        lowering=describe(exported, {}),
        explanation=explanation(kan),
        preferred_rows=exported.lowered.preferred_rows,
        data=pb.DataSummary(
            source=(wanted.data or wanted.path).name,
            fingerprint="" if inputs.x is None else _fingerprint(inputs.names, inputs.x),
            train_rows=0 if inputs.x is None else len(inputs.x),
        ),
    )
    manifest.MergeFrom(outline)
    return manifest


def _histogram(values: NDArray[np.float64]) -> pb.Histogram:
    counts, edges = np.histogram(values, bins=min(_HISTOGRAM_BINS, len(np.unique(values))))
    return pb.Histogram(edges=edges, counts=counts)


def _fingerprint(names: Sequence[str], x: Numbers) -> str:
    digest = hashlib.sha256(repr((list(names), x.shape)).encode())
    # One bit pattern for both zeros.
    digest.update((x + 0.0).astype("<f4").tobytes())
    return digest.hexdigest()
