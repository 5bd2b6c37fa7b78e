"""[baseline]: simpler and stronger models beside the network, judged by the same test rows.

Those of scikit-learn are fitted to all rows but the test rows. The MLP has the training rows, and the validation rows
choose its step, as they choose that of a single network.
"""

from collections.abc import Callable
from dataclasses import replace

import torch

from kan_api.metric_names import shown_name
from kan_model import KAN
from training.data.dataset import Dataset
from training.data.encoding import Numbers
from training.data.split import RowNumbers
from training.fitting.baseline import fit_baseline
from training.fitting.evaluation import answers
from training.publishing.manifest import BASELINES
from training.publishing.metrics import evaluate
from training.recipe.fit_sections import BaselineSection, FitSection
from training.steps.sklearn_baselines import add_validation_rows, fit_sklearn_baseline
from training.steps.state import Check, Finished, OnMessage, StepData, StepFailed


def compare_with_baselines(
    done: Finished,
    fitted: KAN,
    section: BaselineSection,
    plan: FitSection,
    table: StepData,
    check: Check,
    on_message: OnMessage = lambda _: None,
) -> Finished:
    """The same network, and how good each baseline of the section is.

    Args:
        done: The network after the steps before.
        fitted: The network after its fit; the MLP is of its size.
        section: Which baselines.
        plan: The MLP is fitted by it.
        table: The rows.
        check: Called before each baseline and while the MLP learns; it may raise to end the work.
        on_message: Called with a line before each baseline that takes its time.

    Raises:
        StepFailed: there is no MLP of this size.
    """
    for kind in section.kinds:
        check()
        rows = table.dataset
        if kind == "mlp":
            on_message("baseline: fitting an MLP")
            answer, note = _fit_mlp(fitted, section, plan, table, check)
        else:
            if kind == "boosted":
                on_message("baseline: fitting boosted trees")
            rows = add_validation_rows(table.dataset)
            answer, note = fit_sklearn_baseline(kind, rows)
        metrics = {f"{BASELINES[kind]}{name}": value for name, value in evaluate(rows, answer).items()}
        if kind == "mlp":
            note = f"{note}, on the test rows: {_show_test_metrics(metrics)}"
        notes = (*done.notes, note) if note else done.notes
        done = replace(done, notes=notes, metrics={**done.metrics, **metrics})
    return done


def _fit_mlp(
    fitted: KAN, section: BaselineSection, plan: FitSection, table: StepData, check: Check
) -> tuple[Callable[[RowNumbers], Numbers], str]:
    dataset: Dataset = table.dataset
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

    def answer(rows: RowNumbers) -> Numbers:
        y = answers(found.network, table.inputs(torch.from_numpy(dataset.x[rows])).to(fitted.dtype)).double()
        result: Numbers = table.outputs(y).numpy()
        return result

    return answer, f"baseline: an MLP of {found.parameters} parameters"


def _show_test_metrics(metrics: dict[str, float]) -> str:
    part = f"{BASELINES['mlp']}test_"
    return ", ".join(
        f"{shown_name(name.removeprefix(part))} {value:.4g}"
        for name, value in sorted(metrics.items())
        if name.startswith(part)
    )
