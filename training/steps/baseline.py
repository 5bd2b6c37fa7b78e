"""[baseline]: a plain MLP of as many parameters as the fitted network, beside it."""

from dataclasses import replace

import torch

from kan_model import KAN
from training.data.encoding import Numbers
from training.data.split import RowNumbers
from training.fitting.baseline import fit_baseline
from training.fitting.evaluation import answers
from training.publishing.metrics import evaluate
from training.recipe.fit_sections import BaselineSection, FitSection
from training.steps.state import Check, Finished, StepData, StepFailed


def compare_with_mlp(
    done: Finished, fitted: KAN, section: BaselineSection, plan: FitSection, table: StepData, check: Check
) -> Finished:
    """The same network, and how good an MLP of the size of the fitted one is."""
    dataset = table.dataset
    try:
        found = fit_baseline(
            fitted,
            table.train,
            table.validation,
            plan,
            table.loss,
            depth=section.depth,
            activation=section.activation,
            check=check,
        )
    except ValueError as error:
        raise StepFailed(f"[baseline]: {error}") from None

    def of(rows: RowNumbers) -> Numbers:
        y = answers(found.network, table.inputs(torch.from_numpy(dataset.x[rows])).to(fitted.dtype)).double()
        result: Numbers = table.outputs(y).numpy()
        return result

    metrics = {f"baseline_{name}": value for name, value in evaluate(dataset, of).items()}
    shown = ", ".join(
        f"{name.removeprefix('baseline_test_').replace('_', ' ')} {value:.4g}"
        for name, value in sorted(metrics.items())
        if name.startswith("baseline_test_")
    )
    note = f"baseline: an MLP of {found.parameters} parameters, on the held-out rows: {shown}"
    return replace(done, notes=(*done.notes, note), metrics=metrics)
