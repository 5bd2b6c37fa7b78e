"""Times of a graph whose scores are divided by a temperature, beside the graph that they are not."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.common.sessions import caller, open_session
from benchmarks.common.timing import Timing, interleave
from kan_model import KAN, KANConfig, mean_network, scaled_network
from kan_model.lowering import lower
from kan_model.network.transform import Softmax

# What `kan-train init` proposes: 8 members for two classes and few rows, 4 for several classes.
NETWORKS = (((16, 4, 2), 6, 8), ((16, 32, 26), 6, 4))
ROW_COUNTS = (1, 1024)
_TEMPERATURE = 1.3


@dataclass(frozen=True)
class Cost:
    """Times of one network and number of rows, side by side.

    Attributes:
        network: Shape, grid and members.
        rows: Rows of a run.
        plain: Of the graph of the undivided scores.
        divided: Of the graph of the divided scores.
    """

    network: str
    rows: int
    plain: Timing
    divided: Timing

    @property
    def ratio(self) -> float:
        """By the medians."""
        return self.divided.median / self.plain.median


def costs(seconds: float = 3.0, min_rounds: int = 50) -> Iterator[Cost]:
    """Time each network with each number of rows; both graphs are lowered by the same strategies."""
    for width, grid_size, members in NETWORKS:
        kan = mean_network([KAN(KANConfig(width, grid_size=grid_size), seed=seed) for seed in range(members)])
        graphs = [lower(each, outputs=Softmax(), tune_for=()) for each in (kan, scaled_network(kan, 1 / _TEMPERATURE))]
        assert graphs[0].strategies == graphs[1].strategies
        plain, divided = (open_session(each.model.SerializeToString()) for each in graphs)
        rows = np.random.default_rng(0).uniform(-1, 1, (max(ROW_COUNTS), width[0])).astype(np.float32)
        for count in ROW_COUNTS:
            calls = [caller(session, (rows[:count],), count) for session in (plain, divided)]
            yield Cost(f"{members} × {list(width)} G={grid_size}", count, *interleave(calls, seconds, min_rounds))
