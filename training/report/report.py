"""report.html of a version: the network, its data and its scores, as one self-contained file."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from kan_api.metric_names import shown_name
from kan_api.network_text import network_text, size_text
from kan_api.v1.manifest_pb2 import ModelManifest, Objective
from training.data.encoding import Numbers
from training.data.table import Cells
from training.fitting.record import Record
from training.publishing.export import Trained
from training.publishing.manifest import BASELINES, BEFORE
from training.report.answers_section import answers_section, sureness_section
from training.report.charts import staircase
from training.report.data_section import data_table, feature_table, origin
from training.report.effects.computed import compute_effects
from training.report.effects.curves import curves_section, is_sum_of_curves
from training.report.effects.section import effects_section
from training.report.effects.shown_columns import shown_columns
from training.report.formula_section import formula_section
from training.report.judged import Judged as Judged
from training.report.network_section import network_section
from training.report.page import bullets, folded, image, number, page, paragraph, section, table, verbatim
from training.report.sentence import first_sentence
from training.report.verdict import baseline_name, judge_version

NAME = "report.html"
# Prefixes of the names of metrics, and the heading of their column.
_PARTS = {
    "train_": "training rows",
    "validation_": "validation rows",
    "test_": "test rows",
    BEFORE: "test rows, the version before",
}
_PARTS_OF_VALIDATION_TRAINED = {
    "train_": "training rows, the fit before the refit",
    "validation_": "validation rows, the fit before the refit",
}
_PARTS_OUT_OF_FOLD = {"validation_": "the same rows, each out of its fold"}
_PARTS_OF_REFIT = {"test_": "test rows, the fit before the refit"}


def report(
    manifest: ModelManifest,
    trained: Trained,
    rows: Numbers,
    *,
    judged: Judged | None = None,
    history: Sequence[Record] = (),
    notes: Sequence[str] = (),
    latex: str = "",
    spelled: Mapping[str, Cells] | None = None,
    covariances: Tensor | None = None,
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
        spelled: The words ``[rows]`` of columns whose features do not tell them; None: there are none.
        covariances: Of the coefficients of an additive model's curves; None: not known.
    """
    title = f"{manifest.name}: {manifest.target or ', '.join(manifest.targets) or 'classes'}"
    columns = shown_columns(manifest, trained, rows)
    effects = compute_effects(trained, rows, columns, spelled)
    learned = list(effects_section(manifest, effects, len(columns)))
    if is_sum_of_curves(trained, columns):
        curves = curves_section(manifest, trained, rows, columns, spelled or {}, covariances)
        learned = [*curves, *([folded("how the answer changes with each column", "".join(learned))] if learned else [])]
    parts = [
        paragraph(first_sentence(manifest, judged), "verdict"),
        *answers_section(manifest, judged, effects[0].column if effects else None),
        section("How sure it is", list(sureness_section(manifest))),
        paragraph(_about(manifest), "about"),
        section("What it learned", learned),
        formula_section(manifest, latex),
        section("All scores", [_verdict(manifest), _metrics(manifest)]),
        section("The network", [bullets(notes), *network_section(manifest, trained, rows)]),
        section("How it was learned", [image(staircase(history), "loss, grid by grid")] if len(history) > 1 else []),
        section("The data", [data_table(manifest), feature_table(manifest)]),
        section("The recipe", [verbatim(manifest.recipe)]),
        section("Where it comes from", origin(manifest) if manifest.HasField("origin") else []),
    ]
    return page(title, parts)


def _about(manifest: ModelManifest) -> str:
    network, made = manifest.network, "Trained"
    if manifest.HasField("origin"):
        made = f"Trained by {manifest.origin.kind}, imported"
    elif manifest.continued_from:
        made = f"Version {manifest.continued_from}, trained on new rows"
    return (
        f"KAN {network_text(manifest)}, {size_text(network)}, input grids of {network.grid_size} intervals, degree "
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
        | (_PARTS_OUT_OF_FOLD if manifest.data.refit or not manifest.data.validation_rows else {})
        | (_PARTS_OF_REFIT if manifest.data.refit else {})
        | (_PARTS_OF_VALIDATION_TRAINED if manifest.data.validation_trained else {})
        | {f"{prefix}test_": f"test rows, {baseline_name(kind, manifest)}" for kind, prefix in BASELINES.items()}
    )
    parts = [part for part in heads if any(name.startswith(part) for name in manifest.metrics)]
    if not parts:
        return paragraph("Not measured: no rows with known true values were held out.")
    names = sorted({name.removeprefix(part) for part in parts for name in manifest.metrics if name.startswith(part)})
    rows = [[heads[part], *(number(manifest.metrics.get(f"{part}{name}")) for name in names)] for part in parts]
    return table(["", *map(shown_name, names)], rows)
