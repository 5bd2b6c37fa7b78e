"""The recipe's sections on the fit and on what comes after it."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from training.errors import quoted
from training.recipe.sections import Counts, Section, Seed, Words


class FitSection(Section):
    """[fit]: `steps` per grid are epochs for adam and iterations for lbfgs and levenberg-marquardt."""

    optimizer: Literal["adam", "lbfgs", "levenberg-marquardt"] = "adam"
    grids: Counts = (5,)
    steps: int = Field(default=200, ge=1)
    batch_rows: int | None = Field(default=None, ge=1)
    # A line search may take 1e25 times as much, which float32 holds.
    learning_rate: float = Field(default=0.01, gt=0.0, le=1e6)
    weight_decay: float = Field(default=0.0, ge=0.0)
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
            raise ValueError(f"batch_rows is for adam; {self.optimizer} takes all training rows at once")
        if self.optimizer != "adam" and self.weight_decay > 0:
            raise ValueError(f"weight_decay is for adam; {self.optimizer} follows the loss alone")
        if self.optimizer == "levenberg-marquardt" and "learning_rate" in self.model_fields_set:
            raise ValueError("learning_rate is for adam and lbfgs; levenberg-marquardt finds the length of its steps")
        if not self.grids:
            raise ValueError("grids is empty; wanted at least one grid size, e.g. [5]")
        if list(self.grids) != sorted(set(self.grids)):
            raise ValueError(f"grids = {list(self.grids)}: wanted ascending grid sizes, e.g. [3, 5, 10]")
        if self.protect_old and self.old_table is None:
            raise ValueError("protect_old needs old_table: the rows whose answers must stay")
        return self


class AdaptSection(Section):
    """[adapt]: before each grid domains and knots move to the training rows, see :func:`kan_model.adapt_grid`."""

    uniform_share: float = Field(default=0.2, ge=0.0, le=1.0)
    margin: float = Field(default=0.01, ge=0.0)


class SparsifySection(Section):
    """[sparsify]: the fit's price for large edges and for many of them (:func:`kan_model.analysis.penalty.penalty`)."""

    penalty: float = Field(default=1e-3, gt=0.0)
    l1: float = Field(default=1.0, ge=0.0)
    entropy: float = Field(default=1.0, ge=0.0)


class PruneSection(Section):
    """[prune]: which edges and nodes go after the fit; the rest is fitted again for `refit_steps`."""

    node_threshold: float = Field(default=1e-2, ge=0.0, le=1.0)
    edge_threshold: float = Field(default=3e-2, ge=0.0, le=1.0)
    edges: int | None = Field(default=None, ge=1)
    refit_steps: int | None = Field(default=None, ge=0)
    max_loss_increase: float = Field(default=0.05, ge=0.0)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if "edges" in self.model_fields_set and self.model_fields_set & {"node_threshold", "edge_threshold"}:
            raise ValueError("wanted either thresholds or edges, how many to keep")
        return self


class SymbolicSection(Section):
    """[symbolic]: edges become formulas where one comes close enough; their constants are then fitted together."""

    min_r2: float = Field(default=0.99, gt=0.0, le=1.0)
    functions: Words | None = None
    weight: float = Field(default=1.0, ge=0.0)
    constants_steps: int = Field(default=200, ge=0)
    max_loss_increase: float = Field(default=0.05, ge=0.0)

    @model_validator(mode="after")
    def _knows_the_functions(self) -> Self:
        if self.functions is None:
            return self
        # Here, not above: it takes torch along, for which `kan-train init` need not wait.
        from kan_model.network.functions import FUNCTIONS

        if not self.functions:
            raise ValueError('functions is empty; wanted names, e.g. ["x", "x^2", "sin"], or no such key for all')
        if unknown := [name for name in self.functions if name not in FUNCTIONS]:
            raise ValueError(f"functions has {quoted(unknown[0])}; wanted some of {', '.join(FUNCTIONS)}")
        return self


class AttributionSection(Section):
    """[attribution]: which inputs the answers depend on, and which pairs of them act together; so many are told."""

    inputs: int = Field(default=10, ge=1)
    pairs: int = Field(default=3, ge=0)


class BaselineSection(Section):
    """[baseline]: a plain MLP of the fitted network's size, trained by the same loop on the same rows."""

    depth: Literal[1, 2] = 2
    activation: Literal["silu", "relu"] = "silu"
