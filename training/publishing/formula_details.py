"""The formula in the manifest: its text, how close it is to the network, and both errors on the held-out rows."""

import numpy as np
from sklearn.metrics import r2_score

from kan_api.v1 import manifest_pb2 as pb
from training.data.dataset import Dataset
from training.data.encoding import Numbers
from training.publishing.export import Trained
from training.publishing.manifest import predict
from training.publishing.metrics import score_rows
from training.publishing.whole_formula import WholeFormula


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
