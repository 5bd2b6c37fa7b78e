"""The formula of a whole network, for manifests and reports: its text, and how close it is to the network."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import r2_score

from kan_api.v1 import manifest_pb2 as pb
from kan_model.formula.expression import formula
from kan_model.formula.standard_errors import text_with_errors
from training.data.dataset import Dataset
from training.data.encoding import Numbers
from training.publishing.export import Trained
from training.publishing.manifest import predict
from training.publishing.metrics import score_rows

_DIGITS = 4
# Numbers this close to a whole number are whole up to rounding.
_NEAR = 1e-12
# The most paths from a feature to an output; nobody reads longer formulas.
_MOST_TERMS = 500
# Formulas whose text with standard errors is longer get no such note.
_MOST_CHARACTERS = 500


@dataclass(frozen=True)
class WholeFormula:
    """The formula, one line per output, in raw units.

    Attributes:
        text: Plain text; empty if there is no formula of the whole network.
        latex: The right-hand sides as LaTeX, without dollar signs.
        notes: Remarks on the formula, or why there is none.
        sides: The right-hand sides as plain text, one for each output.
        latex_sides: The same as LaTeX.
    """

    text: str
    latex: str
    notes: tuple[str, ...]
    sides: tuple[str, ...] = ()
    latex_sides: tuple[str, ...] = ()


def whole_formula(
    trained: Trained,
    features: Sequence[str],
    outputs: Sequence[str],
    fitted_to: tuple[Numbers, Numbers] | None = None,
) -> WholeFormula:
    """The formula of the network, if there is one with at most 500 terms.

    Args:
        trained: The network.
        features: Names of the features.
        outputs: Names of the outputs.
        fitted_to: The rows ``[rows, features]`` and targets ``[rows, outputs]`` that its constants were fitted to by
            least squares, in raw units; the notes then have their standard errors. None: there are no such rows.
    """
    try:
        found = formula(
            trained.kan,
            inputs=trained.inputs,
            outputs=trained.outputs,
            names=features,
            digits=_DIGITS,
            near=_NEAR,
            one_scale=True,
            max_terms=_MOST_TERMS,
        )
    except ValueError as error:
        return WholeFormula("", "", (f"no formula of the whole network: {error}",))
    text = "\n".join(f"{name} = {text}" for name, text in zip(outputs, found.text, strict=True))
    errors = () if fitted_to is None else _standard_errors(trained, features, outputs, *fitted_to)
    return WholeFormula(text, "\n".join(found.latex), (*found.notes, *errors), found.text, found.latex)


def _standard_errors(
    trained: Trained, features: Sequence[str], outputs: Sequence[str], rows: Numbers, targets: Numbers
) -> Iterator[str]:
    """A note for each output whose constants have standard errors, if a person would read it."""
    exact = formula(
        trained.kan, inputs=trained.inputs, outputs=trained.outputs, names=features, near=_NEAR, one_scale=True
    )
    for name, text in zip(outputs, text_with_errors(exact, rows, targets), strict=True):
        if text is not None and len(text) <= _MOST_CHARACTERS:
            yield f"± one standard error of this form: {name} = {text}"


def formula_lines(manifest: pb.ModelManifest) -> str:
    """The formula of a version, served or told beside the network: one line an output; empty if there is none."""
    if manifest.formula:
        return manifest.formula
    names = manifest.classes or manifest.targets or [manifest.target or "answer"]
    return "\n".join(f"{name} = {side}" for name, side in zip(names, manifest.formula_details.text, strict=False))


def formula_text(written: WholeFormula, *, served: bool) -> pb.Formula:
    """The formula alone, where there is nothing to compare it with."""
    return pb.Formula(text=written.sides, latex=written.latex_sides, served=served)


def formula_details(
    dataset: Dataset, written: WholeFormula, formula: Trained, network: Trained, *, served: bool
) -> pb.Formula:
    """The formula beside the network that it was fitted to, on the test rows.

    Args:
        dataset: The table.
        written: The formula.
        formula: The network that is the formula: all its edges are symbolic.
        network: The network of splines.
        served: Whether model.onnx computes the formula.
    """
    details = formula_text(written, served=served)
    rows = dataset.test
    if not len(rows):
        return details
    ours, theirs = predict(formula, dataset.x[rows]), predict(network, dataset.x[rows])
    for metrics, answers in ((details.formula_metrics, ours), (details.network_metrics, theirs)):
        metrics.update({f"test_{name}": value for name, value in score_rows(dataset, rows, answers).items()})
    details.r2_to_network.extend(_r2(theirs, ours))
    return details


def _r2(network: Numbers, formula: Numbers) -> list[float]:
    """By output, over the rows that both answer; empty if there are fewer than two."""
    both = np.isfinite(network).all(axis=1) & np.isfinite(formula).all(axis=1)
    if both.sum() < 2:
        return []
    found = np.atleast_1d(r2_score(network[both], formula[both], multioutput="raw_values"))
    return [float(value) for value in found]
