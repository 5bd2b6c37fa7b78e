"""report.html of a version: what was learned, from what, and how well, as one file that needs no other."""

import base64
import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from html import escape

import torch
from matplotlib.figure import Figure

from kan_api.v1.manifest_pb2 import ModelManifest
from kan_model.edge_values import edge_values
from kan_model.plot import diagram, edge_detail
from training.charts import confusion, residuals, staircase
from training.data import Dataset
from training.export import Trained
from training.fit import Record
from training.manifest import predict

NAME = "report.html"
_DOTS_PER_INCH = 110
# What a page is wide enough for.
_MOST_CURVES, _MOST_EDGES = 16, 4
_MOST_FEATURES = 200
# Rows that tell the shape of the curves.
_ROWS = 1000

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.about { color: #666; margin-top: .2rem; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { text-align: left; padding: .15rem 1.2rem .15rem 0; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
tr + tr > * { border-top: 1px solid #eee; }
img { max-width: 100%; } img.half { width: 49%; }
pre { background: #f6f6f6; padding: 1rem; overflow-x: auto; font-size: .85rem; }
"""


def report(
    dataset: Dataset,
    trained: Trained,
    history: Sequence[Record],
    manifest: ModelManifest,
    *,
    notes: Sequence[str] = (),
) -> bytes:
    """The page, in UTF-8. It loads nothing and runs nothing.

    Args:
        dataset: The table; pictures of answers are made of its held-out rows.
        trained: The network with what stands before and behind it.
        history: Of the fit.
        manifest: Of the version; its number is not needed.
        notes: What was done to the network after the fit, a line each.
    """
    title = f"{manifest.name}: {manifest.target or 'classes'}"
    parts = [
        _about(manifest),
        _section("How well it does", [_metrics(manifest), *_answers(dataset, trained)]),
        _section("What it learned", [_formula(manifest), _notes(notes), *_network(dataset, trained)]),
        _section("How it was learned", [_image(staircase(history), "loss, grid by grid")]),
        _section("The data", [_data(manifest), _features(manifest)]),
        _section("The recipe", [f"<pre>{escape(manifest.recipe)}</pre>"]),
    ]
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        f"{''.join(parts)}</body>\n</html>\n"
    )
    return page.encode()


def _section(title: str, parts: Iterable[str]) -> str:
    return f"<h2>{escape(title)}</h2>\n{''.join(parts)}\n"


def _about(manifest: ModelManifest) -> str:
    network = manifest.network
    shape = ", ".join(map(str, network.width))
    return (
        f'<p class="about">KAN [{shape}], {network.parameters:,} parameters, grids of {network.grid_size} intervals, '
        f"degree {network.degree}. Trained {escape(manifest.created)} with kan-serving "
        f"{escape(manifest.library_version)}.</p>\n"
    )


def _metrics(manifest: ModelManifest) -> str:
    """A line a metric, a column a part of the data."""
    parts = ("validation_", "test_")
    names = sorted({name.split("_", 1)[1] for name in manifest.metrics if name.startswith(parts)})
    rows = [
        [name.replace("_", " "), *(_number(manifest.metrics.get(f"{part}_{name}")) for part in ("validation", "test"))]
        for name in names
    ]
    return _table(["", "validation rows", "test rows"], rows)


def _answers(dataset: Dataset, trained: Trained) -> Iterator[str]:
    """A picture of the answers to the rows that neither trained nor chose."""
    truth, answers = (
        dataset.y[dataset.test],
        predict(dataset, dataset.test, trained.kan, trained.inputs, trained.outputs),
    )
    if dataset.task == "classification":
        yield _image(confusion(dataset.classes, truth.astype("int64"), answers.argmax(axis=1)), "confusion matrix")
    else:
        yield _image(residuals(dataset.target, truth[:, 0].astype("float64"), answers[:, 0]), "residuals")


def _formula(manifest: ModelManifest) -> str:
    return f"<pre>{escape(manifest.formula)}</pre>\n" if manifest.formula else ""


def _notes(notes: Sequence[str]) -> str:
    return "<ul>\n" + "".join(f"<li>{escape(note)}</li>\n" for note in notes) + "</ul>\n" if notes else ""


def _network(dataset: Dataset, trained: Trained) -> Iterator[str]:
    """The diagram, and the edges of the first layer that matter most."""
    kan = trained.kan
    some = dataset.train[:: max(1, len(dataset.train) // _ROWS)]
    x = torch.from_numpy(dataset.x[some])
    rows = (x if trained.inputs is None else trained.inputs(x)).to(kan.dtype)
    names = [feature.name for feature in dataset.features]
    outputs = dataset.classes or (dataset.target,) * kan.width[-1]
    yield _image(diagram(kan, rows, names=names, outputs=outputs, most_curves=_MOST_CURVES), "the network")
    with torch.no_grad():
        strength = next(edge_values(kan, rows)).std(dim=0)
    strength[~kan.layers[0].active_edges] = -1
    for place in strength.flatten().argsort(descending=True)[:_MOST_EDGES].tolist():
        output, input_ = divmod(place, kan.width[0])
        if strength[output, input_] >= 0:
            figure = edge_detail(kan, rows, 0, output, input_, name=f"{names[input_]}, as the network reads it")
            yield _image(figure, f"edge from {names[input_]} to node {output}", "half")


def _data(manifest: ModelManifest) -> str:
    data = manifest.data
    rows = [
        ["table", data.source],
        ["rows that trained", f"{data.train_rows:,}"],
        ["rows that chose the network", f"{data.validation_rows:,}"],
        ["rows held out", f"{data.test_rows:,}"],
        ["rows left out", f"{data.dropped_rows:,}"],
        ["fingerprint", data.fingerprint],
    ]
    return _table([], rows, numbers=False)


def _features(manifest: ModelManifest) -> str:
    features = manifest.features[:_MOST_FEATURES]
    rows = [
        [
            feature.name,
            _number(feature.low),
            _number(feature.high),
            "constant"
            if feature.constant
            else f"{_number(feature.imputed)} where missing"
            if feature.HasField("imputed")
            else "",
        ]
        for feature in features
    ]
    more = len(manifest.features) - len(features)
    return _table(["feature", "lowest", "highest", ""], rows) + (f"<p>and {more:,} more</p>\n" if more else "")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = True) -> str:
    """Cells are text; all but the first of a line are numbers."""

    def line(cells: Sequence[str], tag: str) -> str:
        marks = ["" if not place or not numbers else ' class="number"' for place in range(len(cells))]
        return "<tr>" + "".join(f"<{tag}{m}>{escape(c)}</{tag}>" for c, m in zip(cells, marks, strict=True)) + "</tr>\n"

    return f"<table>\n{line(head, 'th') if head else ''}{''.join(line(row, 'td') for row in rows)}</table>\n"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def _image(figure: Figure, text: str, kind: str = "whole") -> str:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box stands for it
        figure.savefig(buffer, format="png", dpi=_DOTS_PER_INCH)
    content = base64.b64encode(buffer.getvalue()).decode()
    return f'<img class="{kind}" alt="{escape(text)}" src="data:image/png;base64,{content}">\n'
