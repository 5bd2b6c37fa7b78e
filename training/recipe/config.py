"""Read a recipe from a TOML file and check it."""

import tomllib
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, model_validator

from training.errors import RecipeError, kind_of
from training.recipe.additive import check_additive
from training.recipe.fit_sections import (
    AdaptSection,
    AttributionSection,
    BaselineSection,
    CalibrationSection,
    EnsembleSection,
    FitSection,
    FormulaSection,
    IntervalsSection,
    PruneSection,
    SearchSection,
    SparsifySection,
    SymbolicSection,
)
from training.recipe.image_sections import AugmentSection, ImageSection
from training.recipe.images import check_augmentation, check_images
from training.recipe.intervals import check_intervals
from training.recipe.mistakes import explain
from training.recipe.monotone import check_monotone
from training.recipe.network_section import NetworkSection
from training.recipe.sections import (
    DataSection,
    InputsSection,
    LoweringSection,
    ModelSection,
    Section,
    SplitSection,
    TaskSection,
    VerifySection,
)
from training.recipe.symbolic import check_choice
from training.recipe.toml_mistakes import explain_syntax

# Sections that a recipe with [model] continue_from must not have: the published version fixes them.
_FRESH_ONLY = frozenset(
    {
        "image",
        "augment",
        "network",
        "inputs",
        "adapt",
        "ensemble",
        "calibration",
        "search",
        "intervals",
        "sparsify",
        "prune",
        "symbolic",
        "formula",
        "attribution",
        "baseline",
    }
)


class _Document(Section):
    """The sections of the TOML file."""

    model: ModelSection
    data: DataSection
    task: TaskSection
    split: SplitSection = SplitSection()
    inputs: InputsSection = InputsSection()
    image: ImageSection | None = None
    augment: AugmentSection | None = None
    network: NetworkSection = NetworkSection()
    fit: FitSection = Field(default_factory=lambda: FitSection(batch_rows=64))
    adapt: AdaptSection | None = None
    ensemble: EnsembleSection | None = None
    calibration: CalibrationSection | None = None
    search: SearchSection | None = None
    intervals: IntervalsSection | None = None
    sparsify: SparsifySection | None = None
    prune: PruneSection | None = None
    symbolic: SymbolicSection | None = None
    formula: FormulaSection | None = None
    attribution: AttributionSection | None = None
    baseline: BaselineSection | None = None
    lowering: LoweringSection = LoweringSection()
    verify: VerifySection = VerifySection()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.split.kind == "stratified" and self.task.kind != "classification":
            raise ValueError('[split] kind = "stratified" needs [task] kind = "classification"')
        if self.fit.label_smoothing > 0 and self.task.kind != "classification":
            raise ValueError('[fit] label_smoothing needs [task] kind = "classification"')
        if self.split.column is not None and self.data.path is None:
            raise ValueError(f'[split] kind = "{self.split.kind}" needs a table of one\'s own: [data] path')
        if len(self.data.targets) > 1 and self.task.kind == "classification":
            raise ValueError('[data] target names several columns: that needs [task] kind = "regression"')
        if self.split.column is not None and self.split.column in self.data.targets:
            raise ValueError("[split] column is the target; wanted another column")
        if self.sparsify is not None and self.fit.optimizer == "levenberg-marquardt":
            raise ValueError(
                '[sparsify]: not with [fit] optimizer = "levenberg-marquardt", which cannot add a penalty to the loss; '
                "wanted lbfgs or adam"
            )
        if self.ensemble is not None and (self.fit.optimizer != "adam" or self.sparsify is not None):
            fault = "[sparsify]" if self.sparsify is not None else f'[fit] optimizer = "{self.fit.optimizer}"'
            raise ValueError(
                f"[ensemble]: not with {fault}; its members are fitted together by adam, without a penalty; leave one "
                "out (of an estimator: members=1)"
            )
        if self.ensemble is not None and self.ensemble.refit and (self.prune or self.symbolic):
            fault = "[prune]" if self.prune is not None else "[symbolic]"
            raise ValueError(f"[ensemble] refit: not with {fault}, which needs rows that the network did not train on")
        if self.symbolic is not None:
            check_choice(self.symbolic, self.task, self.data)
        if self.formula is not None and self.symbolic is None:
            raise ValueError("[formula]: only with [symbolic], whose keys say which functions are tried on the edges")
        if self.search is not None and self.ensemble is None:
            raise ValueError("[search]: only with [ensemble]; the members' out-of-fold answers compare the candidates")
        if self.task.objective != "squared_error" and self.fit.optimizer == "levenberg-marquardt":
            raise ValueError(
                f'[task] objective = "{self.task.objective}": not with [fit] optimizer = "levenberg-marquardt", which '
                "takes squared error only; wanted adam or lbfgs"
            )
        if self.augment is not None and self.image is None:
            raise ValueError("[augment]: only with [image]; the columns of a table are no picture that could move")
        if self.fit.refit_with_validation and self.image is None:
            raise ValueError(
                "[fit] refit_with_validation: only with [image]; for a table use [ensemble], whose refit does this"
            )
        if self.augment is not None and self.fit.optimizer != "adam":
            raise ValueError(f'[augment]: not with [fit] optimizer = "{self.fit.optimizer}"; wanted adam')
        if self.image is not None and self.augment is not None:
            check_augmentation(self.augment, self.image)
        if self.image is not None or self.network.convolutions:
            check_images(self, self.network, self.fit, self.data, self.lowering, self.image)
        check_monotone(self)
        if self.network.additive:
            check_additive(self, self.fit, self.task)
        self._check_continuation()
        if self.intervals is not None:
            check_intervals(self.task, self.data, self.fit, self.ensemble, self.search, self.symbolic or self.prune)
        if self.calibration is not None:
            self._check_calibration()
        return self

    @property
    def validation_trains(self) -> bool:
        """Whether the rows of the validation part train too, and out-of-fold answers judge in their place."""
        return self.ensemble is not None or self.network.additive

    @property
    def is_taught(self) -> bool:
        """Whether a fit without the promise comes before that of the monotone members, and teaches them."""
        return self.ensemble is not None and bool(self.network.monotone)

    @property
    def validation_only_trains(self) -> bool:
        """Whether these rows do nothing but train. The steps after the fit choose by them."""
        return self.validation_trains and self.prune is None and self.symbolic is None

    def _check_calibration(self) -> None:
        if self.task.kind != "classification":
            raise ValueError('[calibration]: only with [task] kind = "classification"; of a regression see [intervals]')
        if self.prune or self.symbolic:
            fault = "[prune]" if self.prune is not None else "[symbolic]"
            raise ValueError(f"[calibration]: not with {fault}, which changes the network that the temperature is of")
        if self.ensemble is None:
            raise ValueError(
                "[calibration] needs [ensemble]: a temperature comes from rows that one of several members left out; "
                "wanted members = 4 in the section [ensemble], or of an estimator members=4"
            )

    def _check_continuation(self) -> None:
        if self.model.continue_from is None:
            if idle := self.fit.model_fields_set & {"old_table", "protect_old"}:
                raise ValueError(f"[fit] {', '.join(sorted(idle))}: only with [model] continue_from")
            return
        if idle := self.model_fields_set & _FRESH_ONLY:
            raise ValueError(
                f"[{'], ['.join(sorted(idle))}]: not with [model] continue_from; the version's network and scaling stay"
            )
        if "grids" in self.fit.model_fields_set:
            raise ValueError("[fit] grids: not with [model] continue_from; the version's grids stay")
        for key in ("weight_decay", "smoothness"):
            if getattr(self.fit, key) > 0:
                raise ValueError(
                    f"[fit] {key}: wanted 0 with [model] continue_from; it would change the edges that the new rows do "
                    "not reach"
                )


class Recipe(_Document):
    """A checked recipe. `text` is the text of the file. Paths are relative to the working folder."""

    text: str


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Args:
        path: A TOML file. Relative paths in it are relative to the folder of the file.

    Raises:
        RecipeError: the file is missing or no TOML, or a key is unknown, missing, of the wrong type or contradicts
            another one. The message has one line per mistake.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise RecipeError(f"{path}: there is no such recipe") from None
    except UnicodeDecodeError:
        raise RecipeError(f"{path}: wanted TOML in UTF-8, got bytes that are not UTF-8") from None
    except OSError as error:
        raise kind_of(error, RecipeError)(f"{path}: cannot read it: {error.strerror}") from None
    return parse_recipe(text, folder=path.parent, name=str(path))


def parse_recipe(text: str, *, folder: Path, name: str) -> Recipe:
    """Check a recipe that is not in a file yet.

    Args:
        text: The TOML.
        folder: The folder that relative paths are relative to.
        name: Name of the recipe in messages.

    Raises:
        RecipeError: as `load_recipe`.
    """
    try:
        document = _Document.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{name}: {explain_syntax(text, error)}") from None
    except ValidationError as error:
        raise RecipeError("\n".join(f"{name}: {mistake}" for mistake in explain(error, _Document))) from None
    sections = {section: getattr(document, section) for section in _Document.model_fields}
    for section, key in (("data", "path"), ("model", "continue_from"), ("fit", "old_table")):
        if (given := getattr(sections[section], key)) is not None:
            sections[section] = sections[section].model_copy(update={key: folder / given})
    return Recipe.model_construct(**(sections | {"text": text}))
