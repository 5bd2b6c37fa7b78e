"""Measure one network: make every candidate, compare it with float64, then time all side by side."""

from dataclasses import dataclass
from typing import Any

from benchmarks.common.sessions import caller, open_session
from benchmarks.common.timing import Timing, interleave
from benchmarks.lowering.accuracy import errors, share_of_hidden_outside
from benchmarks.lowering.candidates import MOST_ROWS, PEER, Candidate, candidates, ours
from benchmarks.lowering.memory import growth_mb
from benchmarks.lowering.networks import POLICIES, ROW_COUNTS, Network, build

# A peer with a larger error does not compute the same function, so its time cannot be compared.
_PEER_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Measured:
    """The result of a candidate.

    Attributes:
        candidate: The candidate.
        errors: Errors against float64, inside the domain and outside; None: it has weights of its own.
        timings: Times by row count.
        memory_mb: Growth over the loaded session for the largest batch; None: not measured.
    """

    candidate: Candidate
    errors: tuple[float, float] | None
    timings: dict[int, Timing]
    memory_mb: float | None


@dataclass(frozen=True)
class Result:
    """The results of a network.

    Attributes:
        network: The network.
        hidden_outside: Share of hidden activations outside their domain; None: there is no hidden layer.
        measured: Results by the candidate's name.
    """

    network: Network
    hidden_outside: float | None
    measured: dict[str, Measured]

    def timing(self, name: str, rows: int) -> Timing:
        """Time of the candidate with this name for this number of rows."""
        return self.measured[name].timings[rows]


def measure(network: Network, seconds: float, min_rounds: int) -> Result:
    """Measure all candidates of a network.

    Args:
        network: The network.
        seconds: Time for the samples of one row count.
        min_rounds: The smallest number of samples of each candidate.

    Raises:
        ValueError: a peer's outputs are not those of the network whose weights it has.
    """
    opened = [(candidate, open_session(candidate.model.SerializeToString())) for candidate in candidates(network)]
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
