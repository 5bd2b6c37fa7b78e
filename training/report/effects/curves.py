"""The curves of an additive model: what each column adds to the answer. With the maps of pairs they are all of it."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, ModelManifest
from kan_model.analysis.curve_sum import CurveSum, read_curve_sum
from kan_model.network.transform import Affine, Exponential
from training.data.encoding import Numbers
from training.data.table import Cells
from training.publishing.export import Trained
from training.publishing.manifest import output_names
from training.report.effects.curve_pictures import ColumnCurve, draw_curves
from training.report.effects.maps import inputs_of, maps_section, network_rows, pair_columns
from training.report.effects.shown_columns import ShownColumn, shown_columns
from training.report.page import folded, image, number, paragraph

_POINTS, _ROWS = 200, 2000
# Columns of a picture, and of the whole page: so many take a minute and 17 MB.
_OPEN, _MOST = 12, 1200
# More lines in one picture are too small to read.
_MOST_CLASSES = 6


def is_sum_of_curves(trained: Trained, columns: Sequence[ShownColumn]) -> bool:
    """Whether the answer is a function of a sum of curves, one a column, and of maps of two columns."""
    found = None if trained.image is not None else read_curve_sum(trained.kan)
    return found is not None and all(pair_columns(trained, each, columns) is not None for each in found.pairs)


def curves_section(
    manifest: ModelManifest,
    trained: Trained,
    raw: Numbers,
    columns: Sequence[ShownColumn],
    spelled: Mapping[str, Cells],
    covariances: Tensor | None = None,
) -> Iterator[str]:
    """All curves as HTML, those that move the answers most first.

    Args:
        manifest: Names the outputs.
        trained: An additive model.
        raw: ``[rows, features]``, raw: where the rows are.
        columns: The columns that vary.
        spelled: The words ``[rows]`` of columns whose features do not tell them.
        covariances: ``[outputs, inputs, functions, functions]``, of the coefficients; None: not known.
    """
    ways, edges = _ways(trained, manifest), _edges(trained, _some(raw))
    found = _curves_of(trained, raw, columns, spelled, ways, edges, covariances)
    names = output_names(manifest.classes, manifest.target, trained.kan.width[-1], manifest.targets)
    names = names[1:] if len(ways) < len(names) else names
    of = "the" if len(edges) == len(raw) else f"{len(edges):,} of the {len(raw):,}"
    constants = _constants(trained, ways, edges)
    yield paragraph(_caption(manifest, trained, constants, names, of, has_errors=covariances is not None))
    is_classes = manifest.task == TASK_CLASSIFICATION
    step = _MOST_CLASSES if is_classes else 1
    for first in range(0, len(names), step):
        outputs = list(range(first, min(first + step, len(names))))
        for place in range(0, min(len(found), _MOST), _OPEN):
            picture = image(draw_curves(found[place : place + _OPEN], names, outputs), "the curves of the model")
            if place == 0 and first == 0:
                yield picture
            else:
                of = (
                    ""
                    if len(names) == len(outputs)
                    else f" of {names[outputs[0]]}{' and others' if is_classes else ''}"
                )
                yield folded(f"curves {place + 1} to {min(place + _OPEN, len(found))}{of}", picture)
    if len(found) > _MOST:
        yield paragraph(f"{len(found) - _MOST:,} more columns, which move the answers less, are not drawn.")
    yield from maps_section(trained, _sum_of(trained), raw, columns, spelled, ways, names)


def column_curves(
    manifest: ModelManifest,
    trained: Trained,
    raw: Numbers,
    spelled: Mapping[str, Cells],
    covariances: Tensor | None = None,
) -> list[ColumnCurve]:
    """The curves alone, as :func:`curves_section` draws them."""
    columns, edges = shown_columns(manifest, trained, raw), _edges(trained, _some(raw))
    return _curves_of(trained, raw, columns, spelled, _ways(trained, manifest), edges, covariances)


def _curves_of(
    trained: Trained,
    raw: Numbers,
    columns: Sequence[ShownColumn],
    spelled: Mapping[str, Cells],
    ways: Numbers,
    edges: Numbers,
    covariances: Tensor | None,
) -> list[ColumnCurve]:
    found = [_curve_of(trained, raw, each, spelled.get(each.name), ways, edges, covariances) for each in columns]
    return sorted(found, key=lambda curve: -curve.spread)


def _ways(trained: Trained, manifest: ModelManifest) -> Numbers:
    """``[shown, outputs]``: from outputs of the network to what is shown; of two classes their difference."""
    outputs = trained.kan.width[-1]
    if manifest.task == TASK_CLASSIFICATION:
        return np.array([[-1.0, 1.0]]) if outputs == 2 else np.eye(outputs)
    scale = trained.outputs.scale if isinstance(trained.outputs, Affine | Exponential) else np.ones(outputs)
    return np.diag(scale.astype(np.float64))


def _constants(trained: Trained, ways: Numbers, edges: Numbers) -> Numbers:
    """``[shown]``: what is left of the answers without the curves, whose means over the rows are taken off."""
    transform = trained.outputs
    constants: Numbers = ways @ (edges.mean(axis=0).sum(axis=1) + _sum_of(trained).constant().numpy())
    return constants + transform.center if isinstance(transform, Affine | Exponential) else constants


def _caption(
    manifest: ModelManifest, trained: Trained, constants: Numbers, names: Sequence[str], of: str, *, has_errors: bool
) -> str:
    transform, parts, each = trained.outputs, "these curves", "one for each column"
    if _sum_of(trained).pairs:
        parts, each = "these curves and the maps below", "a curve for each column, a map for each pair of columns"
    if manifest.task != TASK_CLASSIFICATION:
        log = "logarithm of the " if isinstance(transform, Exponential) else ""
        what = f"The {log}answer is {' or '.join(map(number, constants[:3]))} plus the sum of {parts}"
    elif len(constants) == 1:
        what = (
            f"The logarithm of the odds of {names[0]} is {number(constants[0])} plus the sum of {parts}; "
            "probability = 1 / (1 + exp(-sum))"
        )
    else:
        what = f"Each class has a score, a constant plus the sum of {parts}; the softmax makes them probabilities"
    band = " The shade is two standard errors to each side." if has_errors else ""
    return (
        f"{what}: {each}, and nothing else is in the model. A curve is 0 on average over {of} training rows, which are "
        f"where the bars below are; the column that moves the answers most comes first.{band}"
    )


def _curve_of(
    trained: Trained,
    raw: Numbers,
    column: ShownColumn,
    cells: Cells | None,
    ways: Numbers,
    edges: Numbers,
    covariances: Tensor | None,
) -> ColumnCurve:
    """What a column adds to the mean, and how many training rows hold each of its values."""
    inputs = inputs_of(trained, column)
    added = edges[:, :, inputs].sum(axis=2)
    spread, mean = float(np.std(added @ ways.T, axis=0).max(initial=0.0)), added.mean(axis=0)
    if column.values is not None:
        own = column.find_words(raw, cells)
        counts = np.bincount(own[own >= 0], minlength=len(column.words))
        most = np.argsort(-counts, kind="stable")[:_OPEN]
        rows = np.repeat(raw[:1], len(most), axis=0)
        rows[:, column.places] = column.values[most]
        words = tuple(column.words[place] or "(empty)" for place in most)
        values = _added(trained, rows, inputs, mean) @ ways.T
        return ColumnCurve(column.name, most.astype(np.float64), values, spread, counts[most], words=words)
    numbers = raw[:, column.places[0]]
    numbers = numbers[np.isfinite(numbers)]
    known = np.unique(numbers)
    points = known if len(known) <= _POINTS // 4 else np.linspace(known[0], known[-1], _POINTS)
    rows = np.repeat(raw[:1], len(points), axis=0)
    rows[:, column.places[0]] = points
    counts, ends = np.histogram(numbers, bins=40) if len(known) > 1 else (np.array([len(numbers)]), known)
    missing = None
    if len(inputs) > 1:
        rows_missing = raw[:1].copy()
        rows_missing[:, column.places[0]] = np.nan
        missing = (_added(trained, rows_missing, inputs, mean) @ ways.T)[0]
    errors = None if covariances is None else _errors(trained, rows, inputs[0], ways, covariances)
    values = _added(trained, rows, inputs, mean) @ ways.T
    return ColumnCurve(column.name, points, values, spread, counts, ends, errors, missing)


def _some(raw: Numbers) -> Numbers:
    return raw[:: max(1, len(raw) // _ROWS)]


def _edges(trained: Trained, raw: Numbers) -> Numbers:
    """What each edge adds in each row, ``[rows, outputs, inputs]``, in units of the network."""
    with torch.no_grad():
        edges: Numbers = _sum_of(trained).edges(network_rows(trained, raw)).numpy()
    return edges


def _sum_of(trained: Trained) -> CurveSum:
    found = read_curve_sum(trained.kan)
    assert found is not None
    return found


def _added(trained: Trained, raw: Numbers, inputs: Sequence[int], mean: Numbers) -> Numbers:
    """What some inputs add to their mean in each row, ``[rows, outputs]``, in units of the network."""
    added: Numbers = _edges(trained, raw)[:, :, list(inputs)].sum(axis=2) - mean
    return added


def _errors(trained: Trained, raw: Numbers, input_: int, ways: Numbers, covariances: Tensor) -> Numbers:
    """The standard errors of an input's curve, ``[rows, shown]``."""
    with torch.no_grad():
        basis = trained.kan.layers[0].basis(network_rows(trained, raw))[:, input_].double()
    variances = torch.einsum("rf,ofg,rg->ro", basis, covariances[:, input_], basis).clamp(min=0).sqrt().numpy()
    # The two classes' curves are one curve with both signs.
    errors: Numbers = variances @ np.abs(ways).T
    return errors
