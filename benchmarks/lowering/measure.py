"""One network: every candidate made, compared with float64, then timed side by side."""

from dataclasses import dataclass
from typing import Any

from benchmarks.common.sessions import caller, open_model
from benchmarks.lowering.accuracy import errors, share_of_hidden_outside
from benchmarks.lowering.candidates import MOST_ROWS, PEER, Candidate, candidates, ours
from benchmarks.lowering.memory import growth_mb
from benchmarks.lowering.networks import POLICIES, ROW_COUNTS, Network, build
from benchmarks.lowering.timing import Timing, interleave

# A peer further than this from float64 does not compute the same thing: its time would say nothing.
_PEER_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Measured:
    """What became of a candidate.

    Attributes:
        candidate: Which one.
        errors: Against float64, inside the domain and up to three domains; None where there is nothing to compare.
        timings: By row count.
        memory_mb: Growth over the loaded session for the largest batch; None where it is not asked for.
    """

    candidate: Candidate
    errors: tuple[float, float] | None
    timings: dict[int, Timing]
    memory_mb: float | None


@dataclass(frozen=True)
class Result:
    """A network and what became of its candidates.

    Attributes:
        network: Which one.
        hidden_outside: Share of hidden activations beyond their domain; None where nothing is hidden.
        measured: By candidate's name.
    """

    network: Network
    hidden_outside: float | None
    measured: dict[str, Measured]

    def timing(self, name: str, rows: int) -> Timing:
        """Time of the candidate of that name for so many rows."""
        return self.measured[name].timings[rows]


def measure(network: Network, seconds: float, min_rounds: int) -> Result:
    """Everything about one network.

    Args:
        network: Which one.
        seconds: For the samples of one row count.
        min_rounds: Samples of each candidate at least.

    Raises:
        ValueError: a peer's outputs are not those of the network whose weights it was given.
    """
    opened = [(candidate, open_model(candidate.model)) for candidate in candidates(network)]
    compared = [_compare(candidate, session) for candidate, session in opened]
    timings: list[dict[int, Timing]] = [{} for _ in opened]
    for rows in ROW_COUNTS:
        taking_part = [index for index, (candidate, _) in enumerate(opened) if rows in candidate.row_counts]
        calls = [_call(*opened[index], rows) for index in taking_part]
        for index, timing in zip(taking_part, interleave(calls, seconds, min_rounds), strict=True):
            timings[index][rows] = timing
    measured = {
        candidate.name: Measured(candidate, found, times, _memory_mb(network, candidate))
        for (candidate, _), found, times in zip(opened, compared, timings, strict=True)
    }
    return Result(network, share_of_hidden_outside(build(network, "decay")), measured)


def _compare(candidate: Candidate, session: Any) -> tuple[float, float] | None:
    if candidate.answers_for is None:
        return None
    found = errors(session, candidate.answers_for)
    is_ours = candidate.name in map(ours, POLICIES)
    if not is_ours and not max(found) <= _PEER_TOLERANCE:
        raise ValueError(
            f"{candidate.name} is {max(found):.1e} from float64; wanted {_PEER_TOLERANCE:g} or less, "
            "or its time cannot be compared"
        )
    return found


def _call(candidate: Candidate, session: Any, rows: int) -> Any:
    return caller(session, tuple(batch[:rows] for batch in candidate.batch), candidate.block_rows)


def _memory_mb(network: Network, candidate: Candidate) -> float | None:
    if network.memory_mb is None or candidate.name not in (*map(ours, POLICIES), PEER):
        return None
    return growth_mb(candidate.model, MOST_ROWS, candidate.block_rows)
