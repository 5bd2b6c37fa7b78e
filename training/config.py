"""The recipe: which table, what to learn from it and how, read from a TOML file."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.errors import RecipeError, quoted
from training.recipe_mistakes import explain

Seed = Annotated[int, Field(ge=0, lt=2**63)]
Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]
# TOML has lists only; strict would want a tuple from the start.
Words = Annotated[tuple[str, ...], Field(strict=False)]
RowCount = Annotated[int, Field(ge=1, le=65_536)]
Counts = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(strict=False)]


class _Section(BaseModel):
    """A table of the recipe: unknown keys and wrong types are refused, nothing is converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ModelSection(_Section):
    """[model]: what the model is called in the repository; the name is a folder's name too.

    `continue_from` is the folder of its newest version, which learns on from the rows in [data].
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")
    continue_from: Annotated[Path | None, Field(strict=False)] = None


class DataSection(_Section):
    """[data]: a table of one's own (`path`) or a table at hand (`source`)."""

    path: Annotated[Path | None, Field(strict=False)] = None
    source: Literal["sklearn:digits", "sklearn:diabetes", "toy:exp(sin(pi*x)+y^2)"] | None = None
    target: str = ""
    columns: Words = ()
    missing: Literal["refuse", "median", "drop_rows"] = "refuse"
    categories: dict[str, Words] = Field(default_factory=dict)
    rows: int = Field(default=1000, ge=10, le=10_000_000)
    seed: Seed = 0

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        given = self.model_fields_set
        if ("path" in given) == ("source" in given):
            raise ValueError('wanted either path = "DATA.csv" or source = "sklearn:digits", exactly one of them')
        if "path" in given:
            self._check_table()
        elif idle := given & {"target", "columns", "missing", "categories"}:
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
        if self.target in self.columns:
            raise ValueError(f"the target {quoted(self.target)} is among the inputs in columns")
        for column, words in self.categories.items():
            if column not in self.columns:
                raise ValueError(f"categories has {quoted(column)}, which is not in columns")
            if not words:
                raise ValueError(f"categories of {quoted(column)} is empty; wanted its words")
            if len(set(words)) < len(words):
                raise ValueError(f"categories of {quoted(column)} names a word twice")


class TaskSection(_Section):
    """[task]: whether the target is one of several classes or a number."""

    kind: Literal["classification", "regression"]


class SplitSection(_Section):
    """[split]: which rows train, which choose and which judge."""

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
                f"validation = {self.validation:g}, test = {self.test:g} leave no row to train; wanted a sum below 1"
            )
        return self


class InputsSection(_Section):
    """[inputs]: how numbers are scaled inside the graph before the first layer."""

    scaling: Literal["minmax", "standard", "none"] = "minmax"


class NetworkSection(_Section):
    """[network]: the shape of the network between inputs and outputs."""

    hidden: Counts = (32,)
    degree: int = Field(default=3, ge=1, le=5)
    outside: Literal["clamp", "decay"] = "clamp"
    dtype: Literal["float32", "float64"] = "float32"


class FitSection(_Section):
    """[fit]: `steps` per grid are epochs for adam and iterations for lbfgs."""

    optimizer: Literal["adam", "lbfgs"] = "adam"
    grids: Counts = (5,)
    steps: int = Field(default=200, ge=1)
    batch_rows: int | None = Field(default=None, ge=1)
    learning_rate: float = Field(default=0.01, gt=0.0)
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
        return {"batch_rows": 64} | values

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.optimizer == "lbfgs" and self.batch_rows is not None:
            raise ValueError("batch_rows is for adam; lbfgs takes all training rows at once")
        if self.optimizer == "lbfgs" and self.weight_decay > 0:
            raise ValueError("weight_decay is for adam; lbfgs follows the loss alone")
        if not self.grids:
            raise ValueError("grids is empty; wanted at least one grid size, e.g. [5]")
        if list(self.grids) != sorted(set(self.grids)):
            raise ValueError(f"grids = {list(self.grids)}: wanted ascending grid sizes, e.g. [3, 5, 10]")
        if self.protect_old and self.old_table is None:
            raise ValueError("protect_old needs old_table: the rows whose answers must stay")
        return self


class SparsifySection(_Section):
    """[sparsify]: what the fit pays for large edges and for many of them, see :func:`kan_model.penalty.penalty`."""

    penalty: float = Field(default=1e-3, gt=0.0)
    l1: float = Field(default=1.0, ge=0.0)
    entropy: float = Field(default=1.0, ge=0.0)


class PruneSection(_Section):
    """[prune]: which edges and nodes go after the fit; the rest is fitted again for `refit_steps`."""

    node_threshold: float = Field(default=1e-2, ge=0.0, le=1.0)
    edge_threshold: float = Field(default=3e-2, ge=0.0, le=1.0)
    edges: int | None = Field(default=None, ge=1)
    refit_steps: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if "edges" in self.model_fields_set and self.model_fields_set & {"node_threshold", "edge_threshold"}:
            raise ValueError("wanted either thresholds or edges, how many to keep")
        return self


class SymbolicSection(_Section):
    """[symbolic]: edges become formulas where one comes close enough; their constants are then fitted together."""

    min_r2: float = Field(default=0.99, gt=0.0, le=1.0)
    functions: Words | None = None
    weight: float = Field(default=1.0, ge=0.0)
    constants_steps: int = Field(default=200, ge=0)

    @model_validator(mode="after")
    def _knows_the_functions(self) -> Self:
        if self.functions is None:
            return self
        # Here, not above: it takes torch along, for which `kan-train init` need not wait.
        from kan_model.functions import FUNCTIONS

        if not self.functions:
            raise ValueError('functions is empty; wanted names, e.g. ["x", "x^2", "sin"], or no such key for all')
        if unknown := [name for name in self.functions if name not in FUNCTIONS]:
            raise ValueError(f"functions has {quoted(unknown[0])}; wanted some of {', '.join(FUNCTIONS)}")
        return self


class VerifySection(_Section):
    """[verify]: how far the exported graph may be from float64, relative to each output's range."""

    tolerance: float = Field(default=1e-5, gt=0.0)


class LoweringSection(_Section):
    """[lowering]: for which numbers of rows at once strategies are timed, and the format of large products."""

    tune_for: Annotated[tuple[RowCount, ...], Field(strict=False, max_length=8)] = (1, 32, 1024)
    precision: Literal["float32", "float16", "int8"] = "float32"


class _Document(_Section):
    """What the TOML file may hold."""

    model: ModelSection
    data: DataSection
    task: TaskSection
    split: SplitSection = SplitSection()
    inputs: InputsSection = InputsSection()
    network: NetworkSection = NetworkSection()
    fit: FitSection = Field(default_factory=lambda: FitSection(batch_rows=64))
    sparsify: SparsifySection | None = None
    prune: PruneSection | None = None
    symbolic: SymbolicSection | None = None
    lowering: LoweringSection = LoweringSection()
    verify: VerifySection = VerifySection()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.split.kind == "stratified" and self.task.kind != "classification":
            raise ValueError('[split] kind = "stratified" needs [task] kind = "classification"')
        if self.split.column is not None and self.data.path is None:
            raise ValueError(f'[split] kind = "{self.split.kind}" needs a table of one\'s own: [data] path')
        if self.split.column is not None and self.split.column == self.data.target:
            raise ValueError("[split] column is the target; wanted another column")
        self._check_continuation()
        return self

    def _check_continuation(self) -> None:
        if self.model.continue_from is None:
            if idle := self.fit.model_fields_set & {"old_table", "protect_old"}:
                raise ValueError(f"[fit] {', '.join(sorted(idle))}: only with [model] continue_from")
            return
        if idle := self.model_fields_set & {"network", "inputs", "sparsify", "prune", "symbolic"}:
            raise ValueError(
                f"[{'], ['.join(sorted(idle))}]: not with [model] continue_from; the version's network and scaling stay"
            )
        if "grids" in self.fit.model_fields_set:
            raise ValueError("[fit] grids: not with [model] continue_from; the version's grids stay")
        if self.fit.weight_decay > 0:
            raise ValueError(
                "[fit] weight_decay: wanted 0 with [model] continue_from; it pulls at what the new rows say nothing of"
            )


class Recipe(_Document):
    """A checked recipe; `text` is the file as it was written, its paths count from the working folder."""

    text: str


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Args:
        path: a TOML file; relative paths in it count from the file's folder.

    Raises:
        RecipeError: when the file is missing or no TOML, or a key is unknown, missing, of the wrong type or does not
            fit another one; one line for each mistake.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise RecipeError(f"{path}: there is no such recipe") from None
    except UnicodeDecodeError:
        raise RecipeError(f"{path}: wanted TOML in UTF-8, got bytes that are not UTF-8") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot read it: {error.strerror}") from None
    return parse_recipe(text, folder=path.parent, name=str(path))


def parse_recipe(text: str, *, folder: Path, name: str) -> Recipe:
    """Check a recipe that is not in a file yet.

    Args:
        text: the TOML.
        folder: where relative paths in it count from.
        name: what messages call the recipe.

    Raises:
        RecipeError: as `load_recipe`.
    """
    try:
        document = _Document.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{name}: not valid TOML: {error}") from None
    except ValidationError as error:
        raise RecipeError("\n".join(f"{name}: {mistake}" for mistake in explain(error, _Document))) from None
    sections = {section: getattr(document, section) for section in _Document.model_fields}
    for section, key in (("data", "path"), ("model", "continue_from"), ("fit", "old_table")):
        if (given := getattr(sections[section], key)) is not None:
            sections[section] = sections[section].model_copy(update={key: folder / given})
    return Recipe.model_construct(**(sections | {"text": text}))
