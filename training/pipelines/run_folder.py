"""Where a run keeps what is not published: its state, so that it can go on; the network; the rows held out."""

import fcntl
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from kan_model import KAN
from kan_model.network import checkpoint
from training.data.dataset import Dataset
from training.data.split import Split
from training.errors import RunError as RunError
from training.errors import kind_of, quoted
from training.fitting.state import FitState, decode, encode
from training.recipe.config import Recipe
from training.recipe.difference import first_difference


@dataclass(frozen=True)
class RunIdentity:
    """A kept state may be gone on with where `followed` and `split` are still the same.

    Attributes:
        followed: sha256 of the recipe's sections that the fit follows and of features and target.
        split: sha256 of the row numbers of each part. The column that a time or group split goes by is no feature, so
            that `followed` says nothing of it.
        column: What a time or group split goes by, for messages.
        sections: The recipe's sections that the fit follows, as JSON, for messages.
        data: The recipe's [data], likewise. The fit follows it as far as features and target depend on it.
    """

    followed: str
    split: str
    column: str | None = None
    sections: str = "{}"
    data: str = field(default="{}", compare=False)

    def changed_since(self, kept: Mapping[str, str] | None) -> str:
        """What is not as it was when a state of another identity was kept.

        Args:
            kept: "sections" and "data" of that identity; None: an older kan-train did not keep them.
        """
        if kept is None:
            return "recipe or data changed since the run was stopped;"
        for name, now in (("sections", self.sections), ("data", self.data)):
            if found := first_difference(json.loads(kept[name]), json.loads(now)):
                return f"the recipe changed since the run was stopped: {found}; undo the edit, or"
        return "the data changed since the run was stopped: the table gives other features or targets than then;"


def identity_of(recipe: Recipe, dataset: Dataset) -> RunIdentity:
    """The identity of a run: comments, and sections on what comes after the fit, may change."""
    sections = {"split", "inputs", "network", "fit", "adapt", "sparsify", "task"}
    sections |= {name for name in ("ensemble", "search", "intervals") if getattr(recipe, name) is not None}
    # Recipes of runs that an older kan-train began had no key for these; what it did is the default of each.
    network = {"initialization": "paper", "arity": 2, "convolutions": (), "monotone": {}, "additive": False, "pairs": 0}
    newer: dict[str, dict[str, object]] = {
        "network": network,
        "fit": {"schedule": "cosine", "smoothness": 0.0, "label_smoothing": 0.0, "refit_with_validation": False},
        "task": {
            "objective": "squared_error",
            "quantile": None,
            "huber_delta": None,
            "target_scale": "linear",
            "class_weights": None,
        },
    }
    if recipe.ensemble is not None:
        newer["ensemble"] = {"hidden_grid": None}
    idle = {
        section: {key for key, default in keys.items() if getattr(getattr(recipe, section), key) == default}
        for section, keys in newer.items()
    }
    if recipe.ensemble is not None:
        idle["ensemble"].add("refit")  # It comes after the fit.
    # With the section the fit keeps more, and may end later; its keys come after the fit.
    idle["intervals"] = {"coverage", "scaled"}
    text = recipe.model_dump_json(include=sections, exclude=idle)
    followed = text + dataset.fingerprint
    if dataset.gaps:
        # The fingerprint tells nothing of inputs that are made in the graph.
        followed += f"gaps {dataset.gaps}"
    # A kept state that an older kan-train wrote has no key for a mark of decimals.
    data = recipe.data.model_dump(mode="json", exclude={"decimal"} if recipe.data.decimal == "." else None)
    if recipe.data.path is not None:
        # The command may run in another folder than before.
        data["path"] = str(recipe.data.path.resolve())
    parts = Split(dataset.train, dataset.validation, dataset.test)
    return RunIdentity(
        hashlib.sha256(followed.encode()).hexdigest(),
        parts.fingerprint(),
        recipe.split.column,
        text,
        json.dumps({"data": data}),
    )


class RunFolder:
    """``runs/<model name>/``: state.pt while a fit is under way; kan.safetensors, held_out.csv, formula.txt after it.

    A refit on all rows keeps a state of its own, refit.pt, beside that of the fit before it.
    """

    def __init__(self, path: Path, state: str = "state.pt") -> None:
        self.path = path
        self.held_out = path / "held_out.csv"
        self.formula = path / "formula.txt"
        self._state = path / state

    @property
    def refit(self) -> "RunFolder":
        """The same folder, with the state of the refit."""
        return RunFolder(self.path, "refit.pt")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs of the same model out of the folder.

        Raises:
            RunError: another process holds it, or the folder cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"{self.path}: cannot keep the run here: {error.strerror}; give another --runs"
            raise kind_of(error, RunError)(message) from None
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(f"{self.path}: another kan-train is at work here; wait for it or give --runs") from None
            yield

    def has_state(self) -> bool:
        """Whether an unfinished run lies here."""
        return self._state.exists()

    def save_state(self, state: FitState, identity: RunIdentity) -> None:
        """Keep the fit as it stands; a crash leaves the former state or this one."""
        buffer = io.BytesIO()
        content = {
            # An older kan-train reads "identity" and does not compare splits: without that name it refuses this state.
            "followed": identity.followed,
            "split": identity.split,
            "told": {"sections": identity.sections, "data": identity.data},
            **encode(state),
        }
        torch.save(content, buffer)
        checkpoint.write_atomically(self._state, buffer.getvalue())

    def load_state(self, identity: RunIdentity) -> tuple[FitState, bool]:
        """The fit as it was kept, and whether its split was kept too; an older kan-train kept none.

        Args:
            identity: Of recipe and table; a state of others cannot be gone on with.

        Raises:
            RunError: there is no state, it cannot be read, or it belongs to another recipe, table or split.
        """
        if not self.has_state():
            raise RunError(f"{self.path}: nothing to go on with; run without --resume")
        try:
            content: dict[str, Any] = torch.load(self._state, weights_only=True)
            split: str | None = content.get("split")
            followed, state = content["identity" if split is None else "followed"], decode(content)
        except Exception as error:
            raise RunError(f"{self._state}: cannot read it ({type(error).__name__}); run with --fresh") from error
        if followed != identity.followed:
            raise RunError(f"{self.path}: {identity.changed_since(content.get('told'))} run with --fresh")
        if split not in (None, identity.split):
            remedy = "" if identity.column is None else f"undo the edit of column {quoted(identity.column)}, or "
            raise RunError(
                f"{self.path}: other rows train, choose and judge than when the run was stopped, and rows that it has "
                f"learned may be among those that judge; {remedy}run with --fresh"
            )
        return state, split is not None

    def drop_state(self) -> None:
        """Forget an unfinished run."""
        for state in (self._state, self.refit._state):
            state.unlink(missing_ok=True)

    def save_result(self, kan: KAN, held_out: str, formula: str = "") -> None:
        """Keep the trained network, the test rows as CSV that kan-client reads, and the formula if there is one."""
        if formula:
            checkpoint.write_atomically(self.formula, f"{formula}\n".encode())
        else:
            self.formula.unlink(missing_ok=True)
        checkpoint.save(kan, self.path / "kan.safetensors")
        checkpoint.write_atomically(self.held_out, held_out.encode())
