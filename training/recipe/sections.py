"""The recipe's sections on the table and the graph."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from kan_api.dates import FORMATS, ISO, is_iso
from training.errors import quoted
from training.recipe import MAX_ROWS

Seed = Annotated[int, Field(ge=0, lt=2**63)]
Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]
# TOML has only lists, so strict=False: strict pydantic accepts only tuples here.
Words = Annotated[tuple[str, ...], Field(strict=False)]
RowCount = Annotated[int, Field(ge=1, le=MAX_ROWS)]
TargetScale = Literal["linear", "log"]
UnknownGround = Literal["answer", "flag", "refuse"]
ObjectiveName = Literal["squared_error", "mae", "huber", "quantile", "poisson", "gamma"]


def _check_class_weights(given: object) -> object:
    """Messages of our own: pydantic's would be about each type of the union."""
    is_table = isinstance(given, dict) and bool(given)
    bad = {} if not isinstance(given, dict) else {name: w for name, w in given.items() if not _is_weight(w)}
    if given != "balanced" and (bad or not is_table):
        found = ", ".join(f"{quoted(str(name))} = {weight}" for name, weight in bad.items()) or repr(given)
        raise ValueError(f'got {found}; wanted "balanced", or a table of classes with numbers above 0')
    return given


def _is_weight(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")


def _check_target(given: object) -> object:
    """One name, or a tuple of two or more."""
    if isinstance(given, str):
        return given
    if not isinstance(given, list) or not given or not all(isinstance(name, str) and name for name in given):
        raise ValueError(f"got {given!r}; wanted the name of a column, or a list of such names")
    if twice := sorted({name for name in given if given.count(name) > 1}):
        raise ValueError(f"names {quoted(twice[0])} twice")
    return tuple(given) if len(given) > 1 else given[0]


Target = Annotated[str | tuple[str, ...], BeforeValidator(_check_target)]
ClassWeights = Annotated[Literal["balanced"] | dict[str, float], BeforeValidator(_check_class_weights)]


Counts = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(strict=False)]


class Section(BaseModel):
    """A section of the recipe. Unknown keys and wrong types are refused; nothing is converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ModelSection(Section):
    """[model]: the model's name in the repository, which is also the name of its folder.

    `continue_from` is the folder of the model's newest version. That version is trained further on the rows in [data].
    `unknown_ground` is what the server does with rows that no training row resembles.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")
    continue_from: Annotated[Path | None, Field(strict=False)] = None
    unknown_ground: UnknownGround = "answer"


_OF_A_TABLE = frozenset(
    {"target", "columns", "decimal", "missing", "categories", "weights", "unseen", "by_target", "dates"}
)


class DataSection(Section):
    """[data]: the user's own table (`path`) or a built-in table (`source`)."""

    path: Annotated[Path | None, Field(strict=False)] = None
    source: Literal["sklearn:digits", "sklearn:diabetes", "toy:exp(sin(pi*x)+y^2)"] | None = None
    target: Target = ""
    columns: Words = ()
    decimal: Literal[".", ","] = "."
    weights: str | None = None
    missing: Literal["refuse", "median", "indicator", "drop_rows"] = "refuse"
    categories: dict[str, Words] = Field(default_factory=dict)
    unseen: Literal["refuse", "other"] = "refuse"
    by_target: Words = ()
    dates: dict[str, str] = Field(default_factory=dict)
    rows: int = Field(default=1000, ge=10, le=10_000_000)
    seed: Seed = 0

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of all targets."""
        return (self.target,) if isinstance(self.target, str) else self.target

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        given = self.model_fields_set
        if ("path" in given) == ("source" in given):
            raise ValueError('wanted either path = "DATA.csv" or source = "sklearn:digits", exactly one of them')
        if "path" in given:
            self._check_table()
        elif idle := given & _OF_A_TABLE:
            raise ValueError(f"{', '.join(sorted(idle))}: only with path; a source brings its own columns and target")
        is_toy = self.source is not None and self.source.startswith("toy:")
        if not is_toy and (idle := given & {"rows", "seed"}):
            raise ValueError(f"{', '.join(sorted(idle))}: only with a toy source")
        return self

    def _check_table(self) -> None:
        if not self.target:
            raise ValueError("target is missing: the name of the column to predict")
        if not self.columns:
            raise ValueError("columns is missing: the names of the input columns, in order")
        if twice := sorted({name for name in self.columns if self.columns.count(name) > 1}):
            raise ValueError(f"columns names {quoted(twice[0])} twice")
        if "" in self.columns:
            raise ValueError("columns holds an empty name")
        if known := [name for name in self.targets if name in self.columns]:
            raise ValueError(f"the target {quoted(known[0])} is among the inputs in columns")
        if self.weights is not None and self.weights in ("", *self.targets, *self.columns):
            raise ValueError(
                f"weights is {quoted(self.weights)}; wanted a column that is neither the target nor among the inputs"
            )
        for column in self.by_target:
            if column not in self.columns:
                raise ValueError(f"by_target has {quoted(column)}, which is not in columns")
            if column in self.categories:
                raise ValueError(f"{quoted(column)} is in by_target and in categories; wanted one of them")
        for column, form in self.dates.items():
            if column not in self.columns:
                raise ValueError(f"dates has {quoted(column)}, which is not in columns")
            if column in self.categories or column in self.by_target:
                raise ValueError(f"{quoted(column)} is in dates and in categories or by_target; wanted one of them")
            if form not in FORMATS:
                iso = f'"{ISO}" reads such dates; ' if is_iso(form) else ""
                raise ValueError(f"dates of {quoted(column)} = {quoted(form)}; {iso}wanted one of {', '.join(FORMATS)}")
        if len(set(self.by_target)) < len(self.by_target):
            raise ValueError("by_target names a column twice")
        if self.unseen == "other" and not (self.categories or self.by_target):
            raise ValueError('unseen = "other": only with columns of words, in [data.categories] or by_target')
        for column, words in self.categories.items():
            if column not in self.columns:
                raise ValueError(f"categories has {quoted(column)}, which is not in columns")
            if not words:
                raise ValueError(f"categories of {quoted(column)} is empty; wanted its words")
            if len(set(words)) < len(words):
                raise ValueError(f"categories of {quoted(column)} names a word twice")


class TaskSection(Section):
    """[task]: whether the target is one of several classes or a number, what is minimized, and on which scale."""

    kind: Literal["classification", "regression"]
    objective: ObjectiveName = "squared_error"
    quantile: Fraction | None = None
    huber_delta: Annotated[float, Field(gt=0.0)] | None = None
    target_scale: TargetScale = "linear"
    class_weights: ClassWeights | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        given = self.model_fields_set
        if self.kind == "classification" and (idle := given - {"kind", "class_weights"}):
            raise ValueError(f'{", ".join(sorted(idle))}: only with kind = "regression"')
        if self.kind == "regression" and "class_weights" in given:
            raise ValueError('class_weights: only with kind = "classification"')
        self._check_objective()
        return self

    def _check_objective(self) -> None:
        for key, objective, what in (
            ("quantile", "quantile", "the share of rows whose target is below the answer, e.g. 0.9"),
            ("huber_delta", "huber", "the error above which it counts linearly, in the unit of the target"),
        ):
            given = getattr(self, key) is not None
            if given and self.objective != objective:
                raise ValueError(f'{key}: only with objective = "{objective}"')
            if not given and self.objective == objective:
                raise ValueError(f'objective = "{objective}" needs {key}: {what}')
        if self.objective in ("poisson", "gamma") and self.target_scale == "log":
            raise ValueError(
                f'target_scale = "log": not with objective = "{self.objective}", whose log link is part of it; leave '
                "target_scale out"
            )


class SplitSection(Section):
    """[split]: which rows are training rows, which validation rows and which test rows."""

    kind: Literal["random", "stratified", "time", "group"] = "random"
    column: str | None = None
    validation: Fraction = 0.15
    test: Fraction = 0.2
    seed: Seed = 0

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.kind in ("time", "group") and not self.column:
            raise ValueError(f'kind = "{self.kind}" needs column: the column that holds the {self.kind}')
        if self.kind in ("random", "stratified") and self.column is not None:
            raise ValueError(f'column is for kind = "time" or "group", not for "{self.kind}"')
        if self.validation + self.test >= 1.0:
            raise ValueError(
                f"validation = {self.validation:g}, test = {self.test:g} leave no training row; wanted a sum below 1"
            )
        return self


class InputsSection(Section):
    """[inputs]: how numbers are scaled inside the graph before the first layer."""

    scaling: Literal["minmax", "standard", "none"] = "minmax"


class VerifySection(Section):
    """[verify]: the largest error of the exported graph against float64, relative to each output's range."""

    tolerance: float = Field(default=1e-5, gt=0.0)


class LoweringSection(Section):
    """[lowering]: the batch sizes for which strategies are timed, and the number format of large products."""

    tune_for: Annotated[tuple[RowCount, ...], Field(strict=False, max_length=8)] = (1, 32, 1024)
    precision: Literal["float32", "float16", "int8"] = "float32"
