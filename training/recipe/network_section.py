"""The recipe's section on the network."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from training.recipe import MAX_PAIRS
from training.recipe.image_sections import ConvolutionSection
from training.recipe.levels import Levels
from training.recipe.monotone import Monotone
from training.recipe.sections import Section


class NetworkSection(Section):
    """[network]: the shape of the network between inputs and outputs.

    A level of `hidden` is a number of nodes, or [nodes that add, nodes that multiply]; these have `arity` factors each.
    With `convolutions`, which [image] needs, the levels follow behind them. With `additive` there is one layer, whose
    curves :mod:`training.additive` fits, and at most `pairs` terms of two columns beside them. `monotone` has columns
    with which no answer falls ("up") or rises ("down").
    """

    hidden: Levels = (32,)
    additive: bool = False
    pairs: int = Field(default=0, ge=0, le=MAX_PAIRS)
    convolutions: Annotated[tuple[ConvolutionSection, ...], Field(strict=False, max_length=16)] = ()
    arity: int = Field(default=2, ge=2, le=8)
    degree: int = Field(default=3, ge=1, le=5)
    outside: Literal["clamp", "decay"] = "clamp"
    dtype: Literal["float32", "float64"] = "float32"
    initialization: Literal["paper", "power-law", "variance-preserving"] = "paper"
    monotone: Monotone = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _has_one_layer(cls, values: Any) -> Any:
        is_additive = isinstance(values, dict) and values.get("additive") is True
        return {"hidden": ()} | values if is_additive else values

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.additive:
            self._check_additive()
        elif self.pairs:
            raise ValueError("pairs: only with additive = true; set it, or leave pairs out")
        if "arity" in self.model_fields_set and not any(isinstance(level, tuple) and level[1] for level in self.hidden):
            raise ValueError("arity: only with a level of hidden that multiplies, e.g. hidden = [[4, 2]]")
        return self

    def _check_additive(self) -> None:
        if self.hidden or self.convolutions:
            key = "convolutions" if self.convolutions else "hidden"
            raise ValueError(f"{key}: not with additive = true: an additive model has no hidden nodes; leave it out")
        if self.monotone:
            raise ValueError("monotone: not with additive = true, whose curves may turn; leave one of them out")
        if "initialization" in self.model_fields_set:
            raise ValueError("initialization: not with additive = true, whose fit has no start; leave it out")
        if self.outside != "clamp":
            raise ValueError('outside = "decay": not with additive = true; wanted "clamp"')
        if self.degree < 2:
            raise ValueError("degree = 1: not with additive = true, which holds curves back by their second derivative")
