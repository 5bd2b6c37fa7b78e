"""What does an ensemble that is one network cost? ``python -m benchmarks.lowering.members`` takes 2 minutes.

For each shape: one member; 4 and 8 members as one network (kan_model.ensemble); a network of the same width whose
hidden nodes are all connected; and the members one after the other, their answers averaged. All graphs are tuned for
1, 64 and 1024 rows, and run in turn: one thread, bare sessions, one run for all rows.
"""

from collections.abc import Callable

import numpy as np

from benchmarks.common.markdown import render
from benchmarks.common.sessions import Rows, caller, open_session
from benchmarks.common.timing import interleave
from kan_model import KAN, KANConfig, mean_network
from kan_model.lowering import Lowered, lower

SHAPES = ((13, 16, 1), (16, 16, 8, 3))
MEMBERS = (4, 8)
ROWS = (1, 64, 1024)
_SECONDS, _ROUNDS = 4.0, 15


def main() -> None:
    """Print a table for each shape."""
    for shape in SHAPES:
        head = ["network", "width", "middle layers", *(f"{rows:,} rows, µs" for rows in ROWS)]
        print(render([head, *_measure(shape)]))


def _measure(shape: tuple[int, ...]) -> list[list[str]]:
    members = [_network(shape, seed) for seed in range(max(MEMBERS))]
    kans = {"one member": members[0]}
    for count in MEMBERS:
        kans[f"{count} members as one network"] = mean_network(members[:count])
        kans[f"as wide as {count}, all connected"] = _network(mean_network(members[:count]).width, 0)
    lowered = {name: lower(kan, tune_for=ROWS) for name, kan in kans.items()}
    sessions = {name: open_session(each.model.SerializeToString()) for name, each in lowered.items()}
    apart = [open_session(lower(kan, tune_for=ROWS).model.SerializeToString()) for kan in members]
    columns = []
    for count in ROWS:
        x = np.random.default_rng(0).uniform(-1, 1, (count, shape[0])).astype(np.float32)
        calls: list[Callable[[], object]] = [caller(session, (x,), count) for session in sessions.values()]
        calls += [_mean_of(apart[:number], x) for number in MEMBERS]
        columns.append([f"{1e6 * timing.median:,.1f}" for timing in interleave(calls, _SECONDS, _ROUNDS)])
    names = [*kans, *(f"{number} members one after the other" for number in MEMBERS)]
    facts = [[name, _width(kan), _middle(lowered[name])] for name, kan in kans.items()]
    facts += [[name, _width(members[0]), ""] for name in names[len(kans) :]]
    return [[*fact, *times] for fact, times in zip(facts, zip(*columns, strict=True), strict=True)]


def _network(width: tuple[int, ...], seed: int) -> KAN:
    return KAN(KANConfig(width, noise=0.3), seed=seed)


def _mean_of(sessions: list[object], x: Rows) -> Callable[[], object]:
    calls = [caller(session, (x,), len(x)) for session in sessions]
    return lambda: sum(call()[0] for call in calls) / np.float32(len(calls))


def _width(kan: KAN) -> str:
    return str(list(kan.width))


def _middle(lowered: Lowered) -> str:
    return ", ".join(lowered.strategies[1:-1])


if __name__ == "__main__":
    main()
