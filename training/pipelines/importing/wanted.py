"""What a person asks for who imports a network, and whether it can be had."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from training.data.objective.loss_function import Task
from training.data.table import Decimal
from training.errors import TrainingError, quoted
from training.recipe.sections import ModelSection, UnknownGround

Kind = Literal["pykan", "efficient-kan"]


class ImportRefused(TrainingError):
    """The network cannot be taken over as it was asked for."""


@dataclass(frozen=True)
class Import:
    """What to publish, and what its file does not tell.

    Attributes:
        kind: Whose network it is.
        path: pykan's checkpoint, as it was given to ``saveckpt``; efficient-kan's ``torch.save`` of a state dict.
        name: The model's name in the repository.
        models: The model repository.
        prefix: What stands before ``layers.`` in efficient-kan's names; None: the KAN is the whole model.
        data: The rows that trained it, as it read them: numbers only, a header with the names of its inputs; None: not
            at hand. Where they hold the target, metrics over them are called train_….
        held_out: Rows that it never saw, with the target; metrics over them are called test_…. None: not at hand.
        features: Names of the inputs where ``data`` does not give them; empty: those of ``held_out``, or x1, x2, …
        task: What it predicts; None: classes where they are named, else numbers.
        classes: Names of a classifier's outputs, in their order.
        target: What is predicted; a column of this name in a table is no input.
        tolerance: Bound on the graph's error against float64.
        tune_for: Numbers of rows for which strategies are timed; empty: none is.
        unknown_ground: What the server does with rows that no training row resembles.
        decimal: The mark before the decimals of the tables.
    """

    kind: Kind
    path: Path
    name: str
    models: Path
    prefix: str | None = None
    data: Path | None = None
    held_out: Path | None = None
    features: tuple[str, ...] = ()
    task: Task | None = None
    classes: tuple[str, ...] = ()
    target: str = "target"
    tolerance: float = 1e-5
    tune_for: tuple[int, ...] = (1, 32, 1024)
    unknown_ground: UnknownGround = "answer"
    decimal: Decimal = "."


def check_name(name: str) -> None:
    """Refuse a name that no model can have."""
    try:
        ModelSection(name=name)
    except ValidationError:
        raise ImportRefused(
            f"a model cannot be called {quoted(name)}; wanted letters of English, digits, '_', '-' and '.', 100 at "
            "most, a letter, digit or '_' first"
        ) from None


def check_ground(wanted: Import) -> None:
    """Refuse a policy on unknown ground where no training rows tell what is known."""
    if wanted.unknown_ground != "answer" and wanted.data is None:
        raise ImportRefused(
            f'unknown_ground is "{wanted.unknown_ground}", and no table tells where the training rows lie; wanted them '
            "in --data"
        )


def check_task(wanted: Import, outputs: int) -> None:
    """Refuse classes and a task that do not fit each other or a network of so many outputs."""
    classes = wanted.classes
    if wanted.task == "classification" and not classes:
        raise ImportRefused(f"classes are not named; wanted a name for each of the network's outputs: {outputs}")
    if wanted.task == "regression" and classes:
        raise ImportRefused("classes are named; wanted none for a regression")
    if len(classes) == 1:
        raise ImportRefused(f"one class is named, {quoted(classes[0])}; wanted two or more")
    if classes and len(classes) != outputs:
        raise ImportRefused(f"{len(classes)} classes are named; the network has {outputs} outputs")
    check_different("classes", classes)


def check_different(what: str, names: Sequence[str]) -> None:
    """Refuse an empty name and one that comes twice."""
    if "" in names:
        raise ImportRefused(f"an empty name is among the {what}")
    if len(set(names)) < len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise ImportRefused(f"{quoted(twice)} is twice among the {what}")
