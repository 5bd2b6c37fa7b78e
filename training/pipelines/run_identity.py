"""What a kept run belongs to: what its fit follows, its data, and which rows train, choose and judge."""

import hashlib
from dataclasses import dataclass

from training.data.dataset import Dataset
from training.data.split import Split
from training.recipe.config import Recipe


@dataclass(frozen=True)
class RunIdentity:
    """A kept state may be gone on with where `followed` and `split` are still the same.

    Attributes:
        followed: sha256 of the recipe's sections that the fit follows and of features and target.
        split: sha256 of the row numbers of each part. The column that a time or group split goes by is no feature, so
            that `followed` says nothing of it.
        column: What a time or group split goes by, for messages.
    """

    followed: str
    split: str
    column: str | None = None


def identity_of(recipe: Recipe, dataset: Dataset) -> RunIdentity:
    """The identity of a run: comments, and sections on what comes after the fit, may change."""
    sections = {"split", "inputs", "network", "fit", "adapt", "sparsify", "task"}
    followed = recipe.model_dump_json(include=sections) + dataset.fingerprint
    parts = Split(dataset.train, dataset.validation, dataset.test)
    return RunIdentity(hashlib.sha256(followed.encode()).hexdigest(), parts.fingerprint(), recipe.split.column)
