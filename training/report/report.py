"""report.html of a version: the network, its data and its scores, as one self-contained file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, Feature, ModelManifest, Objective
from kan_model import KAN
from kan_model.analysis.edge_values import edge_values
from kan_model.plot import diagram, edge_detail
from training.data.encoding import Numbers
from training.data.split import RowNumbers
from training.fitting.record import Record
from training.publishing.export import Trained
from training.publishing.manifest import BASELINES, BEFORE, input_names, output_names
from training.publishing.metric_names import shown_name
from training.report.charts import confusion, residuals, staircase
from training.report.page import bullets, folded, image, number, page, paragraph, section, table, verbatim
from training.report.verdict import baseline_name, judge_version

NAME = "report.html"
# Limits that fit the width of the page.
_MOST_CURVES, _MOST_EDGES = 16, 4
_MOST_FEATURES = 200
# Rows over which curves are drawn.
_ROWS = 1000
# Rows whose edges are in memory at once.
_EDGE_ROWS = 64
# Prefixes of the names of metrics, and the heading of their column.
_PARTS = {
    "train_": "training rows",
    "validation_": "validation rows",
    "test_": "test rows",
    BEFORE: "test rows, the version before",
}
_PARTS_OF_REFIT = {"validation_": "the same rows, each out of its fold", "test_": "test rows, the fit before the refit"}


@dataclass(frozen=True)
class Judged:
    """Answers to rows with known true values.

    Attributes:
        which: Name of these rows on the page, such as "test rows".
        truth: The true values: int64 ``[rows]`` classes, or ``[rows, targets]`` in raw units.
        answers: ``[rows, outputs]``: probabilities, or raw predictions; finite.
    """

    which: str
    truth: Numbers | RowNumbers
    answers: Numbers


def report(
    manifest: ModelManifest,
    trained: Trained,
    rows: Numbers,
    *,
    judged: Judged | None = None,
    history: Sequence[Record] = (),
    notes: Sequence[str] = (),
    latex: str = "",
) -> bytes:
    """The page, in UTF-8. It loads nothing and runs nothing.

    Args:
        manifest: The manifest of the version; it need not have a version number yet.
        trained: The network with its transforms.
        rows: ``[rows, features]``, raw: curves are drawn over at most 1,000 of them.
        judged: Answers for the pictures of answers; None: there are none.
        history: The records of the fit; empty if they are not known.
        notes: Lines on the steps after the fit, and other remarks.
        latex: The manifest's formula as LaTeX, to be copied.
    """
    title = f"{manifest.name}: {manifest.target or ', '.join(manifest.targets) or 'classes'}"
    parts = [
        paragraph(_about(manifest), "about"),
        section("How well it does", [_verdict(manifest), _metrics(manifest), *_answers(manifest, judged)]),
        section("What it learned", [*_formula(manifest, latex), bullets(notes), *_network(manifest, trained, rows)]),
        section("How it was learned", [image(staircase(history), "loss, grid by grid")] if history else []),
        section("The data", [_data(manifest), _features(manifest)]),
        section("The recipe", [verbatim(manifest.recipe)]),
        section("Where it comes from", _origin(manifest) if manifest.HasField("origin") else []),
    ]
    return page(title, parts)


def _about(manifest: ModelManifest) -> str:
    network, made = manifest.network, "Trained"
    if manifest.HasField("origin"):
        made = f"Trained by {manifest.origin.kind}, imported"
    elif manifest.continued_from:
        made = f"Version {manifest.continued_from}, trained on new rows"
    shape = ", ".join(map(str, network.width))
    return (
        f"KAN [{shape}], {network.parameters:,} parameters, input grids of {network.grid_size} intervals, degree "
        f"{network.degree}. {made} {manifest.created} with kan-serving {manifest.library_version}."
        f"{_what_it_answers(manifest.objective)}"
    )


def _what_it_answers(objective: Objective) -> str:
    """Sentences on a loss other than squared error, and on a log scale."""
    said = {
        "mae": "the median of similar rows",
        "huber": f"the mean of similar rows, without errors above {number(objective.huber_delta)}",
        "quantile": f"the {number(objective.quantile)} quantile of similar rows",
        "poisson": "the mean of counts (Poisson deviance)",
        "gamma": "the mean of amounts (gamma deviance)",
    }
    sentences = [f"It answers {said[objective.loss]}."] if objective.loss in said else []
    sentences += ["It is fitted to logarithms of the target."] if objective.target_scale == "log" else []
    return "".join(f" {sentence}" for sentence in sentences)


def _verdict(manifest: ModelManifest) -> str:
    verdict, warnings = judge_version(manifest)
    return "".join(paragraph(line) for line in (verdict, *(f"Warning: {warning}." for warning in warnings)) if line)


def _metrics(manifest: ModelManifest) -> str:
    """A table with one column per metric and one line per part of the data, and per baseline on the test rows."""
    heads = (
        _PARTS
        | (_PARTS_OF_REFIT if manifest.data.refit else {})
        | {f"{prefix}test_": f"test rows, {baseline_name(kind, manifest)}" for kind, prefix in BASELINES.items()}
    )
    parts = [part for part in heads if any(name.startswith(part) for name in manifest.metrics)]
    if not parts:
        return paragraph("Not measured: there were no rows with known true values.")
    names = sorted({name.removeprefix(part) for part in parts for name in manifest.metrics if name.startswith(part)})
    rows = [[heads[part], *(number(manifest.metrics.get(f"{part}{name}")) for name in names)] for part in parts]
    return table(["", *map(shown_name, names)], rows)


def _answers(manifest: ModelManifest, judged: Judged | None) -> Iterator[str]:
    if judged is None:
        return
    truth, answers = judged.truth, judged.answers
    yield paragraph(f"Answers to {len(truth):,} {judged.which}:")
    if manifest.task == TASK_CLASSIFICATION:
        picture = confusion(manifest.classes, truth.astype("int64"), answers.argmax(axis=1))
        yield image(picture, "confusion matrix")
    else:
        for place, name in enumerate(manifest.targets or [manifest.target]):
            yield image(residuals(name, truth[:, place].astype("float64"), answers[:, place]), "residuals")


def _network(manifest: ModelManifest, trained: Trained, raw: Numbers) -> Iterator[str]:
    """The diagram, and the four strongest edges of the first layer."""
    kan = trained.kan
    x = torch.from_numpy(raw[:: max(1, len(raw) // _ROWS)])
    given = (x if trained.inputs is None else trained.inputs(x)).to(kan.dtype)
    rows = _answered_rows(kan, given)
    if len(rows) < 2:
        yield paragraph(f"No pictures: the network has no answer to {len(given) - len(rows)} of {len(given)} rows.")
        return
    names = input_names(manifest)
    outputs = output_names(manifest.classes, manifest.target, kan.width[-1], manifest.targets)
    yield image(diagram(kan, rows, names=names, outputs=outputs, most_curves=_MOST_CURVES), "the network")
    with torch.no_grad():
        values = next(edge_values(kan, rows))
    # A constant edge gets no picture. It is found by its range, because rounding can give it a standard deviation.
    strength = torch.where(values.amax(dim=0) > values.amin(dim=0), values.std(dim=0), 0.0)
    for place in strength.flatten().argsort(descending=True)[:_MOST_EDGES].tolist():
        output, input_ = divmod(place, kan.width[0])
        if strength[output, input_] > 0:
            # In a network of one layer the edges feed the outputs.
            fed = outputs[output] if len(kan.layers) == 1 else f"node {output}"
            title, axis = f"{names[input_]} to {fed}", f"{names[input_]}, as the network reads it"
            figure = edge_detail(kan, rows, 0, output, input_, name=axis, title=title)
            yield image(figure, f"edge from {title}", "half")


def _formula(manifest: ModelManifest, latex: str) -> Iterator[str]:
    yield verbatim(manifest.formula)
    if latex:
        yield folded("its right-hand side as LaTeX", verbatim(latex))


def _answered_rows(kan: KAN, rows: Tensor) -> Tensor:
    """The rows for which every edge is finite: a logarithm is not for arguments below 0."""
    kept = torch.isfinite(rows).all(dim=1)
    with torch.no_grad():
        for x, some in zip(torch.split(rows, _EDGE_ROWS), torch.split(kept, _EDGE_ROWS), strict=True):
            for layer in kan.layers:
                some &= torch.isfinite(layer.edge_outputs(x)).flatten(1).all(dim=1)
                x = layer(x)
            some &= torch.isfinite(x).all(dim=1)
    return rows[kept]


def _data(manifest: ModelManifest) -> str:
    data = manifest.data
    counts = {
        "rows that trained": data.train_rows,
        "rows that chose the network": data.validation_rows,
        "of these, rows that tested the fit before the refit" if data.refit else "rows that tested it": data.test_rows,
        "rows left out": data.dropped_rows,
    }
    # For an imported network a count of 0 means that it is not known; after a refit out-of-fold answers have chosen.
    shown = {name: count for name, count in counts.items() if count or not (manifest.HasField("origin") or data.refit)}
    text = ""
    if data.source:
        rows = [["table", data.source], *([name, f"{count:,}"] for name, count in shown.items())]
        rows += [["rows count by column", manifest.objective.weights]] if manifest.objective.weights else []
        text = table([], [*rows, ["fingerprint", data.fingerprint]], numbers=False)
    if not data.train_rows:
        text += paragraph("The rows that trained it are not known; the ranges below are those of its first grids.")
    return text


def _features(manifest: ModelManifest) -> str:
    features = manifest.features[:_MOST_FEATURES]
    rows = [[feature.name, number(feature.low), number(feature.high), _remark(feature)] for feature in features]
    head = ["feature", "lowest", "highest", ""]
    if any(feature.HasField("attribution") for feature in features):
        head.append("attribution")
        for feature, row in zip(features, rows, strict=True):
            row.append(number(feature.attribution))
    more = len(manifest.features) - len(features)
    return table(head, rows) + (paragraph(f"and {more:,} more") if more else "")


def _remark(feature: Feature) -> str:
    if feature.constant:
        return "constant"
    if not feature.HasField("imputed"):
        return ""
    told = ", and the network is told" if feature.has_gap_input else ""
    return f"{number(feature.imputed)} where missing{told}"


def _origin(manifest: ModelManifest) -> Iterator[str]:
    origin = manifest.origin
    yield paragraph(f"{origin.kind} trained it; its files do not tell how. The files were:")
    rows = [[file.name, f"{file.size_bytes:,}", file.sha256] for file in origin.files]
    yield table(["file", "bytes", "sha256"], rows, numbers=False)
    yield paragraph("Imported by:")
    yield verbatim(origin.command)
