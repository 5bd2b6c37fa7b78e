"""The recipe's sections on the fit and on the steps after it."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from training.errors import quoted
from training.recipe.levels import Levels
from training.recipe.sections import Counts, Section, Seed, Words

MOST_MEMBERS = 32


class FitSection(Section):
    """[fit]: `steps` per grid are epochs for adam and iterations for lbfgs and levenberg-marquardt."""

    optimizer: Literal["adam", "lbfgs", "levenberg-marquardt"] = "adam"
    grids: Counts = (5,)
    steps: int = Field(default=200, ge=1)
    batch_rows: int | None = Field(default=None, ge=1)
    # The bound keeps the steps of a line search, up to 1e25 times this, within float32.
    learning_rate: float = Field(default=0.01, gt=0.0, le=1e6)
    weight_decay: float = Field(default=0.0, ge=0.0)
    schedule: Literal["cosine", "warm-up"] = "cosine"
    smoothness: float = Field(default=0.0, ge=0.0)
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    refit_with_validation: bool = False
    seed: Seed = 0
    old_table: Annotated[Path | None, Field(strict=False)] = None
    protect_old: bool = False

    @model_validator(mode="before")
    @classmethod
    def _defaults_by_optimizer(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        if values.get("optimizer", "adam") == "lbfgs":
            return {"learning_rate": 1.0} | values
        return {"batch_rows": 64} | values if values.get("optimizer", "adam") == "adam" else values

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.optimizer != "adam" and self.batch_rows is not None:
            raise ValueError(f"batch_rows is for adam; {self.optimizer} uses all training rows in each step")
        if self.optimizer != "adam" and self.weight_decay > 0:
            raise ValueError(f"weight_decay is for adam; {self.optimizer} minimizes the loss alone")
        if self.optimizer != "adam" and self.schedule != "cosine":
            raise ValueError(f"schedule is for adam; {self.optimizer} chooses the length of its steps")
        if self.optimizer != "adam" and self.label_smoothing > 0:
            raise ValueError(f"label_smoothing is for adam; {self.optimizer} minimizes the loss alone")
        if self.optimizer == "levenberg-marquardt" and self.smoothness > 0:
            raise ValueError("smoothness is for adam and lbfgs; levenberg-marquardt cannot add a penalty to the loss")
        if self.optimizer == "levenberg-marquardt" and "learning_rate" in self.model_fields_set:
            raise ValueError("learning_rate is for adam and lbfgs; levenberg-marquardt chooses its own step length")
        if not self.grids:
            raise ValueError("grids is empty; wanted at least one grid size, e.g. [5]")
        if list(self.grids) != sorted(set(self.grids)):
            raise ValueError(f"grids = {list(self.grids)}: wanted ascending grid sizes, e.g. [3, 5, 10]")
        if self.protect_old and self.old_table is None:
            raise ValueError("protect_old needs old_table: the rows whose answers must stay")
        return self


class AdaptSection(Section):
    """[adapt]: before the fit on each grid, knots move to the training rows (:func:`kan_model.adapt_grid`)."""

    uniform_share: float = Field(default=0.2, ge=0.0, le=1.0)
    margin: float = Field(default=0.01, ge=0.0)


class EnsembleSection(Section):
    """[ensemble]: fit several networks, each without a fold of its own, and publish their mean as one network.

    Splines that read hidden nodes have `hidden_grid` intervals on every grid of the fit; None: as many as those of the
    inputs. With `refit` the test rows judge this network; then all rows are fitted again, and that fit is published.
    """

    members: int = Field(default=8, ge=2, le=MOST_MEMBERS)
    hidden_grid: int | None = Field(default=None, ge=1)
    refit: bool = False


class CalibrationSection(Section):
    """[calibration]: divide the scores of the classes by a temperature that out-of-fold answers give.

    The published graph holds the division. Source: Guo et al. 2017. With `coverage` the manifest tells a threshold of
    the probabilities: the most probable class, and those at or above it, hold the true one of this share of new rows.
    """

    method: Literal["temperature"] = "temperature"
    coverage: float | None = Field(default=None, gt=0, lt=1)


class CandidateSection(Section):
    """[[search.candidates]]: the keys of [network] and [fit] that a candidate changes."""

    hidden: Levels | None = None
    grids: Counts | None = None
    steps: int | None = Field(default=None, ge=1)
    batch_rows: int | None = Field(default=None, ge=1)
    learning_rate: float | None = Field(default=None, gt=0.0, le=1e6)
    weight_decay: float | None = Field(default=None, ge=0.0)
    smoothness: float | None = Field(default=None, ge=0.0)

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        if self.grids is not None and (not self.grids or list(self.grids) != sorted(set(self.grids))):
            raise ValueError(f"grids = {list(self.grids)}: wanted ascending grid sizes, e.g. [3, 5, 10]")
        return self


class SearchSection(Section):
    """[search]: fit several candidates to some members each, and the best of them to all."""

    budget: float = Field(default=2.0, gt=0.0)
    candidates: Annotated[tuple[CandidateSection, ...], Field(strict=False, min_length=1, max_length=64)]


class IntervalsSection(Section):
    """[intervals]: bounds around each answer of a regression, between which a share of new rows will lie."""

    coverage: float = Field(default=0.9, gt=0.0, lt=1.0)
    scaled: bool = True


class SparsifySection(Section):
    """[sparsify]: a penalty on large edges and on many of them (:func:`kan_model.analysis.penalty.penalty`)."""

    penalty: float = Field(default=1e-3, gt=0.0)
    l1: float = Field(default=1.0, ge=0.0)
    entropy: float = Field(default=1.0, ge=0.0)


class PruneSection(Section):
    """[prune]: remove weak edges and nodes after the fit, then fit the rest again for `refit_steps`."""

    node_threshold: float = Field(default=1e-2, ge=0.0, le=1.0)
    edge_threshold: float = Field(default=3e-2, ge=0.0, le=1.0)
    edges: int | None = Field(default=None, ge=1)
    refit_steps: int | None = Field(default=None, ge=0)
    max_loss_increase: float = Field(default=0.05, ge=0.0)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if "edges" in self.model_fields_set and self.model_fields_set & {"node_threshold", "edge_threshold"}:
            raise ValueError("wanted either thresholds or edges (the number of edges to keep), not both")
        return self


# Keys of [symbolic] that only one way to choose functions has.
KEYS_OF_CHOICE = {
    "by-edge": frozenset({"min_r2", "weight", "constants_steps"}),
    "in-context": frozenset({"seeds", "budget"}),
}


class SymbolicSection(Section):
    """[symbolic]: replace edges by formulas that are close enough, then fit all their constants together.

    With `choice = "in-context"` small networks of several shapes are searched instead, `seeds` times, and functions are
    chosen by the loss of the whole network (:mod:`training.formulas`). `budget` bounds each search: thousands of steps
    of least squares, counted by edges.
    """

    choice: Literal["by-edge", "in-context"] = "by-edge"
    seeds: int = Field(default=1, ge=1, le=20)
    budget: float = Field(default=200.0, gt=0.0)
    min_r2: float = Field(default=0.99, gt=0.0, le=1.0)
    functions: Words | None = None
    weight: float = Field(default=1.0, ge=0.0)
    constants_steps: int = Field(default=200, ge=0)
    max_loss_increase: float = Field(default=0.05, ge=0.0)

    @model_validator(mode="after")
    def _fits_the_choice(self) -> Self:
        given = self.model_fields_set
        other = "by-edge" if self.choice == "in-context" else "in-context"
        if idle := given & KEYS_OF_CHOICE[other]:
            raise ValueError(f'{", ".join(sorted(idle))}: only with choice = "{other}"')
        return self

    @model_validator(mode="after")
    def _knows_the_functions(self) -> Self:
        if self.functions is None:
            return self
        # Imported here because it imports torch, which takes seconds and which `kan-train init` does not need.
        from kan_model.network.functions import FUNCTIONS

        if not self.functions:
            raise ValueError('functions is empty; wanted names, e.g. ["x", "x^2", "sin"]; leave the key out to try all')
        if unknown := [name for name in self.functions if name not in FUNCTIONS]:
            raise ValueError(f"functions has {quoted(unknown[0])}; wanted some of {', '.join(FUNCTIONS)}")
        return self


class FormulaSection(Section):
    """[formula]: what becomes of the formula of the whole network that [symbolic] finds.

    With the section the formula is told beside the network with splines, which is published, however much worse the
    formula is. With `serve` the formula is published in place of the network.
    """

    serve: bool = False


class AttributionSection(Section):
    """[attribution]: how many of the most important inputs, and of the strongest pairs of inputs, are reported."""

    inputs: int = Field(default=10, ge=1)
    pairs: int = Field(default=3, ge=0)


class BaselineSection(Section):
    """[baseline]: models to compare the network with.

    `trivial` always answers the mean or the class frequencies, `linear` is a ridge or logistic regression, `boosted`
    are gradient boosted trees; all three are scikit-learn's, and are fitted to all rows but the test rows. `mlp` is a
    plain MLP with as many parameters as the network, trained by the same loop on the training rows, and chosen by the
    validation rows; only it has `depth` and `activation`.
    """

    kinds: Annotated[tuple[Literal["trivial", "linear", "boosted", "mlp"], ...], Field(strict=False)] = ("mlp",)
    depth: Literal[1, 2] = 2
    activation: Literal["silu", "relu"] = "silu"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.kinds:
            raise ValueError('kinds is empty; wanted names, e.g. ["linear", "boosted"]; or leave the section out')
        if len(set(self.kinds)) < len(self.kinds):
            raise ValueError(f"kinds = {list(self.kinds)}: wanted each name once")
        if "mlp" not in self.kinds and (idle := self.model_fields_set & {"depth", "activation"}):
            raise ValueError(f'{", ".join(sorted(idle))}: only with "mlp" in kinds')
        return self
