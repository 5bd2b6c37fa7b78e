"""The candidates for one network: ours under each policy, the peers, and the bare MatMul."""

from dataclasses import dataclass, replace

import numpy as np
import onnx

from benchmarks.common.sessions import Rows
from benchmarks.lowering import peers
from benchmarks.lowering.accuracy import rows_inside
from benchmarks.lowering.networks import POLICIES, ROW_COUNTS, SEED, Network, build
from kan_model import KAN
from kan_model.lowering import lower
from kan_model.network.layer import Outside

TOLERANCE = 1e-5
PEER, FLOOR = "efficient-kan", "bare MatMul"
MOST_ROWS = max(ROW_COUNTS)
# The block size with which a peer is measured again, to show what it gains from blocks.
_PEER_BLOCK_ROWS = 32


@dataclass(frozen=True)
class Candidate:
    """A model and how it is run.

    Attributes:
        name: Name in the table.
        note: A short description for the table.
        model: float32 rows in, float32 rows out.
        batch: Its inputs, MOST_ROWS rows for each input of the model; smaller batches are the first rows.
        answers_for: The network whose outputs it must give; None: it has weights of its own.
        block_rows: A larger batch is run in blocks of this many rows.
        row_counts: Batch sizes on which it is timed.
    """

    name: str
    note: str
    model: onnx.ModelProto
    batch: tuple[Rows, ...]
    answers_for: KAN | None = None
    block_rows: int = MOST_ROWS
    row_counts: tuple[int, ...] = ROW_COUNTS


def candidates(network: Network) -> list[Candidate]:
    """Every candidate for a network.

    The splines of all peers decay beyond their knots. So they get the weights of the network with the policy ``decay``,
    and are compared with it.
    """
    decaying = build(network, "decay")
    rows = rows_inside(decaying)[:MOST_ROWS]
    return [*(_ours(network, policy, rows) for policy in POLICIES), *_peers(network, decaying, rows), *_floor(decaying)]


def ours(policy: Outside) -> str:
    """The name of our graph under a policy."""
    return f"ours, {policy}"


def _ours(network: Network, policy: Outside, rows: Rows) -> Candidate:
    kan = build(network, policy)
    lowered = lower(kan, tolerance=TOLERANCE, tune_for=ROW_COUNTS)
    strategies = ", ".join(layer.strategy for layer in lowered.report.layers)
    note = f"{strategies}; blocks of {lowered.preferred_rows}"
    return Candidate(ours(policy), note, lowered.model, (rows,), kan, lowered.preferred_rows)


def _peers(network: Network, kan: KAN, rows: Rows) -> list[Candidate]:
    efficient = Candidate(PEER, "Cox–de Boor", peers.efficient_kan(kan), (rows,), kan)
    speedy = Candidate("pykan", "speed mode", peers.pykan_speed(kan), (rows,), kan)
    found = [efficient, _cut_into_blocks(efficient), speedy]
    for mode in ("local", "dense"):
        model = peers.inkan_model(kan, mode)
        if network.uniform:
            found.append(Candidate(f"inkan, {mode}", f"{mode} basis", model, (rows,), kan))
        else:
            found.append(Candidate(f"inkan, {mode}", "has uniform grids only: time alone", model, (rows,)))
    shape, parameters = peers.mlp_of_equal_shape(kan), peers.mlp_of_equal_parameters(kan)
    found.append(Candidate("MLP, equal shape", "ReLU, weights of its own", shape, (rows,)))
    found.append(Candidate("MLP, equal parameters", "ReLU, weights of its own", parameters, (rows,)))
    return found


def _floor(kan: KAN) -> list[Candidate]:
    random = np.random.default_rng(SEED)
    columns = [peers.matmul_columns(layer) for layer in kan.layers]
    batch = tuple(random.standard_normal((MOST_ROWS, count), dtype=np.float32) for count in columns)
    floor = Candidate(FLOOR, "one a layer, random input", peers.bare_matmul(kan), batch)
    return [floor, _cut_into_blocks(floor)]


def _cut_into_blocks(candidate: Candidate) -> Candidate:
    """The candidate on the largest batch only, cut into blocks."""
    return replace(
        candidate,
        name=f"{candidate.name}, in blocks",
        note=f"blocks of {_PEER_BLOCK_ROWS}",
        block_rows=_PEER_BLOCK_ROWS,
        row_counts=(MOST_ROWS,),
    )
