"""What a step after the fit gets and gives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch

from kan_model import KAN
from kan_model.network.transform import InputTransform, OutputTransform
from training.data.dataset import Dataset
from training.data.objective.loss import loss
from training.data.objective.loss_function import LossFunction
from training.data.preparation import fitted_loss, samples
from training.data.samples import Samples
from training.errors import TrainingError
from training.fitting.evaluation import answers
from training.fitting.record import Record
from training.publishing.whole_formula import WholeFormula
from training.steps.advice import FOR_RECIPES, Advice

Check = Callable[[], None]
OnMessage = Callable[[str], None]


class StepFailed(TrainingError):
    """A step after the fit cannot be done as the recipe asks."""


@dataclass(frozen=True)
class FoundFormula:
    """A formula beside the network that it was fitted to.

    Attributes:
        written: The formula, in raw units.
        kan: The network that is the formula: all its edges are symbolic.
        splines: The network before.
        is_served: Whether ``kan`` is the network to publish.
    """

    written: WholeFormula
    kan: KAN
    splines: KAN
    is_served: bool


@dataclass(frozen=True)
class Finished:
    """The network after all steps.

    Attributes:
        kan: The network to publish.
        notes: A sentence or two on each step, for people.
        formula: Of the network to publish, one line an output, in raw units; empty where there is none.
        latex: The same as LaTeX, the right-hand sides.
        found: The formula of the whole network and both networks, also if it is not the one to publish; None: none.
        splines: The network before edges became formulas, to publish if no graph computes these closely enough; None:
            ``kan`` has no such edges, or the recipe insists on them.
        history: Of the fits of these steps.
        metrics: Of what was trained beside it, by name.
        attribution: How much the answers depend on each input; empty where nobody asked.
    """

    kan: KAN
    notes: tuple[str, ...] = ()
    formula: str = ""
    latex: str = ""
    found: FoundFormula | None = None
    splines: KAN | None = None
    history: tuple[Record, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    attribution: tuple[float, ...] = ()

    def with_splines(self, note: str) -> "Finished":
        """With the network of splines in the place of the formulas that were fitted to it, and a note that says why."""
        assert self.splines is not None
        told = self.found and replace(self.found, is_served=False)
        notes = (*self.notes, note)
        return replace(self, kan=self.splines, notes=notes, formula="", latex="", found=told, splines=None)


@dataclass(frozen=True)
class StepData:
    """The rows as the network sees them, and what stands around it.

    Attributes:
        dataset: The table.
        train: Rows that train.
        validation: Rows that choose the best network.
        inputs: What stands before the network.
        outputs: What stands behind it.
        loss: What training minimizes, in the units of the network's outputs.
        advice: What notes advise to their reader.
    """

    dataset: Dataset
    train: Samples
    validation: Samples
    inputs: InputTransform
    outputs: OutputTransform
    loss: LossFunction
    advice: Advice = FOR_RECIPES

    @classmethod
    def of(cls, dataset: Dataset, inputs: InputTransform, outputs: OutputTransform, dtype: torch.dtype) -> "StepData":
        """For networks of this type."""
        train, validation = (
            samples(dataset, rows, inputs, outputs, dtype) for rows in (dataset.train, dataset.validation)
        )
        return cls(dataset, train, validation, inputs, outputs, fitted_loss(dataset, outputs))


def validation_loss(kan: KAN, table: StepData) -> float:
    """Of the rows that choose, without any penalty."""
    rows = table.validation
    return float(loss(table.loss, answers(kan, rows.x), rows.y, rows.weights))
