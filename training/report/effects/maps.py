"""The pairs of an additive model as maps: what two columns add together, beyond the curve of each."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from kan_model.analysis.curve_sum import CurveSum, PairNodes
from training.data.encoding import Numbers
from training.data.table import Cells
from training.publishing.export import Trained
from training.report.effects.map_pictures import Axis, PairMap, draw_maps
from training.report.effects.shown_columns import ShownColumn
from training.report.page import folded, image, paragraph

# Places along an axis of numbers, words along one of words, rows that are drawn as dots, and over which a map counts.
_POINTS, _MOST_WORDS, _DOTS, _ROWS = 40, 12, 300, 2000
# Maps of a picture, and of the whole page.
_OPEN, _MOST = 6, 600


def maps_section(
    trained: Trained,
    network: CurveSum,
    raw: Numbers,
    columns: Sequence[ShownColumn],
    spelled: Mapping[str, Cells],
    ways: Numbers,
    names: Sequence[str],
) -> Iterator[str]:
    """All maps as HTML, those that move the answers most first; nothing without pairs.

    Args:
        trained: The network, and how it reads rows.
        network: The same as a sum.
        raw: ``[rows, features]``, raw: where the rows are.
        columns: The columns that vary.
        spelled: The words ``[rows]`` of columns whose features do not tell them.
        ways: ``[shown, outputs]``, from outputs of the network to what is shown.
        names: Of what is shown.
    """
    if not (found := pair_maps(trained, network, raw, columns, spelled, ways)):
        return
    yield paragraph(
        "A map is what two columns add together, beyond their curves: red adds, blue takes away. The dots are training "
        "rows; where there are none, nothing was learned. The map that moves the answers most comes first. Where "
        "the two columns depend on each other, a part of a map could as well be in their curves: read them together."
    )
    for output, name in enumerate(names):
        most = max(float(np.abs(each.values[..., output]).max()) for each in found) or 1.0
        for place in range(0, min(len(found), _MOST), _OPEN):
            picture = image(draw_maps(found[place : place + _OPEN], name, output, most), "the maps of the model")
            if place == 0 and output == 0:
                yield picture
            else:
                of = f" of {name}" if len(names) > 1 else ""
                yield folded(f"maps {place + 1} to {min(place + _OPEN, len(found))}{of}", picture)
    if len(found) > _MOST:
        yield paragraph(f"{len(found) - _MOST:,} more maps, which move the answers less, are not drawn.")


def pair_maps(
    trained: Trained,
    network: CurveSum,
    raw: Numbers,
    columns: Sequence[ShownColumn],
    spelled: Mapping[str, Cells],
    ways: Numbers,
) -> list[PairMap]:
    """The maps, as :func:`maps_section` draws them."""
    some = raw[:: max(1, len(raw) // _ROWS)]
    inputs, found = network_rows(trained, some), []
    for pair in network.pairs:
        if (both := pair_columns(trained, pair, columns)) is None:
            continue
        axes = [_axis(column, raw, spelled.get(column.name)) for column in both]
        rows = np.repeat(raw[:1], len(axes[0].values) * len(axes[1].values), axis=0)
        rows[:, both[0].places] = np.repeat(axes[0].values, len(axes[1].values), axis=0)
        rows[:, both[1].places] = np.tile(axes[1].values, (len(axes[0].values), 1))
        with torch.no_grad():
            added = network.products(pair, network_rows(trained, rows)).numpy() @ ways.T
            spread = float(np.std(network.products(pair, inputs).numpy() @ ways.T, axis=0).max(initial=0.0))
        values = added.reshape(len(axes[0].values), len(axes[1].values), -1)
        dots = None
        if not axes[0].words and not axes[1].words:
            dots = raw[:: max(1, len(raw) // _DOTS)][:, [both[0].places[0], both[1].places[0]]]
        found.append(PairMap(axes[0], axes[1], values, spread, dots))
    return sorted(found, key=lambda each: -each.spread)


def pair_columns(
    trained: Trained, pair: PairNodes, columns: Sequence[ShownColumn]
) -> tuple[ShownColumn, ShownColumn] | None:
    """The two columns of a pair; None if the inputs of a factor are not those of one column."""
    found = [
        next((column for column in columns if set(inputs) <= set(inputs_of(trained, column))), None)
        for inputs in (pair.first, pair.second)
    ]
    first, second = found
    return None if first is None or second is None or first is second else (first, second)


def inputs_of(trained: Trained, column: ShownColumn) -> list[int]:
    """The network inputs of a column: its features, and its gap input if there is one."""
    gaps = None if trained.inputs is None else trained.inputs.gaps
    if gaps is None:
        return list(column.places)
    features = trained.kan.width[0] - len(gaps)
    return [*column.places, *(features + place for place, of in enumerate(gaps.tolist()) if of in column.places)]


def network_rows(trained: Trained, raw: Numbers) -> Tensor:
    """Raw rows ``[rows, features]`` as the network reads them, ``[rows, inputs]``."""
    x = torch.from_numpy(raw)
    return (x if trained.inputs is None else trained.inputs(x)).to(trained.kan.dtype)


def _axis(column: ShownColumn, raw: Numbers, cells: Cells | None) -> Axis:
    """The values of a column that a map shows: its most frequent words, or places between its ends."""
    if column.values is not None:
        own = column.find_words(raw, cells)
        counts = np.bincount(own[own >= 0], minlength=len(column.words))
        most = np.argsort(-counts, kind="stable")[:_MOST_WORDS]
        words = tuple(column.words[place] or "(empty)" for place in most)
        return Axis(column.name, column.values[most], words)
    numbers = raw[:, column.places[0]]
    known = np.unique(numbers[np.isfinite(numbers)])
    points = known if len(known) <= _POINTS // 2 else np.linspace(known[0], known[-1], _POINTS)
    return Axis(column.name, points[:, None])
