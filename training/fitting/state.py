"""The state of a fit between two steps, which can be saved."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch

from kan_model import KAN
from kan_model.network import checkpoint
from training.fitting.apart import Apart
from training.fitting.record import Record


@dataclass(frozen=True)
class Block:
    """Some members of an ensemble, fitted by one candidate of a search.

    Attributes:
        candidate: Its index.
        first: Index of the first member.
        end: Index after the last member.
        network: The members side by side.
        loss: Loss of their out-of-fold answers; infinite if the fit diverged.
        text: What to tell of it.
        apart: As of a fit's state.
        notes: What went wrong in the fit.
    """

    candidate: int
    first: int
    end: int
    network: KAN
    loss: float
    text: str
    apart: Apart | None = None
    notes: list[str] = field(default_factory=list)


@dataclass
class FitState:
    """A fit between two steps. A saved state continues as if the fit had never stopped.

    Attributes:
        kan: The current network.
        best: The network with the lowest validation loss so far, on any grid; before any evaluation the given one.
        best_loss: Validation loss of ``best``; infinite before any evaluation.
        stage: Index of the current grid in the plan.
        step: Number of steps done on this grid.
        optimizer: State of the optimizer; empty at the start of a stage.
        history: One record per evaluation on the validation rows.
        diverged: Grid sizes whose fit ended early because numbers were not finite.
        blocks: What a search has fitted so far.
        share_done: The share of its work that a search has done; None: there is no search.
        apart: The out-of-fold answers of an ensemble that intervals are made from, or that teach; None: there are none.
        lessons: ``[rows, members, outputs]``, what a free fit answered that came before; None: none came, or it found
            nothing.
        free_diverged: As ``diverged``, of that free fit.
        candidate: Index of the candidate whose step it is; None: there is no search.
        members: Index of the first member that it fits, and the index after the last one; None likewise.
    """

    kan: KAN
    best: KAN
    best_loss: float = math.inf
    stage: int = 0
    step: int = 0
    optimizer: dict[str, Any] = field(default_factory=dict)
    history: list[Record] = field(default_factory=list)
    diverged: list[int] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    share_done: float | None = None
    apart: Apart | None = None
    lessons: torch.Tensor | None = None
    free_diverged: list[int] = field(default_factory=list)
    candidate: int | None = None
    members: tuple[int, int] | None = None

    @property
    def is_teaching(self) -> bool:
        """Whether the fit is the one without a promise that comes before that of monotone members."""
        return self.apart is not None and self.apart.lessons is not None


def restart(state: FitState, start: FitState) -> None:
    """Put a fit's start into the state of another one, whose place in a search it keeps."""
    kept = ("blocks", "share_done", "candidate", "members")
    for name in {each.name for each in fields(FitState)}.difference(kept):
        setattr(state, name, getattr(start, name))


def note_divergence(state: FitState) -> list[str]:
    """On which grids the numbers of a fit were not finite."""
    early = "ended early in numbers that are not finite; the best network before that"
    free = [f"grid {size}: the fit without the promise {early} teaches" for size in state.free_diverged]
    return free + [f"grid {size}: the fit {early} is kept" for size in state.diverged]


def encode(state: FitState) -> dict[str, Any]:
    """The state as numbers, texts, lists and tensors, which torch saves and loads without other code."""
    return {
        "kan": _encode_network(state.kan),
        "best": _encode_network(state.best),
        "best_loss": state.best_loss,
        "stage": state.stage,
        "step": state.step,
        "optimizer": state.optimizer,
        "history": [asdict(record) for record in state.history],
        "diverged": state.diverged,
        "blocks": [
            vars(block) | {"network": _encode_network(block.network), "apart": _encode_apart(block.apart)}
            for block in state.blocks
        ],
        "share_done": state.share_done,
        "apart": _encode_apart(state.apart),
        "lessons": state.lessons,
        "free_diverged": state.free_diverged,
    }


def decode(content: Mapping[str, Any]) -> FitState:
    """The state of a fit whose content was kept by `encode`, here or by an older kan-train."""
    return FitState(
        kan=_decode_network(content["kan"]),
        best=_decode_network(content["best"]),
        best_loss=content["best_loss"],
        stage=content["stage"],
        step=content["step"],
        optimizer=content["optimizer"],
        history=[Record(**record) for record in content["history"]],
        diverged=content["diverged"],
        # An older kan-train had no search.
        blocks=[
            Block(**block | {"network": _decode_network(block["network"]), "apart": _decode_apart(block.get("apart"))})
            for block in content.get("blocks", ())
        ],
        share_done=content.get("share_done"),
        apart=_decode_apart(content.get("apart")),
        lessons=content.get("lessons"),
        free_diverged=content.get("free_diverged", []),
    )


def _encode_apart(apart: Apart | None) -> dict[str, torch.Tensor | None] | None:
    return None if apart is None else dict(vars(apart))


def _decode_apart(content: dict[str, torch.Tensor] | None) -> Apart | None:
    return None if content is None else Apart(**content)


def _encode_network(kan: KAN) -> torch.Tensor:
    return torch.frombuffer(bytearray(checkpoint.to_bytes(kan)), dtype=torch.uint8)


def _decode_network(content: torch.Tensor) -> KAN:
    return checkpoint.from_bytes(content.numpy().tobytes())
