"""Exact Shapley values of a single baseline, and KernelSHAP's estimate of them."""

import warnings
from collections.abc import Callable
from math import comb

import numpy as np
import torch
from numpy.typing import NDArray

from kan_model import KAN

Values = NDArray[np.float64]
SAMPLES = 1000


def exact(kan: KAN, row: torch.Tensor, reference: torch.Tensor) -> Values:
    """All 2^inputs coalitions: features that are absent have the reference row's values.

    Args:
        kan: The network, in float64.
        row: ``[inputs]``.
        reference: ``[inputs]``.

    Returns:
        ``[outputs, inputs]``.
    """
    count = len(row)
    coalitions = torch.arange(2**count)
    present = ((coalitions[:, None] >> torch.arange(count)) & 1).bool()
    with torch.no_grad():
        answers = kan(torch.where(present, row.double(), reference.double())).numpy()
    sizes = present.sum(dim=1).numpy()
    shares = np.array([1 / (count * comb(count - 1, size)) for size in range(count)])
    values = np.empty((answers.shape[1], count))
    for feature in range(count):
        without = np.flatnonzero(~present[:, feature].numpy())
        gains = answers[without | 1 << feature] - answers[without]
        values[:, feature] = shares[sizes[without]] @ gains
    return values


def kernel_shap(answer: Callable[[Values], Values], reference: Values) -> Callable[[Values], Values]:
    """KernelSHAP of `shap` with one background row and 1,000 samples: rows -> ``[rows, outputs, inputs]``.

    Raises:
        SystemExit: shap is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import shap
    except ModuleNotFoundError as error:
        raise SystemExit(f"{error.name} is not installed: python -m pip install --editable '.[bench]'") from error
    explainer = shap.KernelExplainer(answer, reference)

    def explain(rows: Values) -> Values:
        found: Values = np.asarray(explainer.shap_values(rows, nsamples=SAMPLES, silent=True))
        # [rows, inputs] of one output, [rows, inputs, outputs] of several.
        return found[:, None] if found.ndim == 2 else found.transpose(0, 2, 1)

    return explain
