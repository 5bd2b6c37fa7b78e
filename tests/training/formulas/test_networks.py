"""The order in which networks of splines are searched for functions."""

from kan_model import KAN, KANConfig
from training.formulas.networks import Fitted


def test_of_equally_good_networks_the_one_with_fewer_edges_is_searched_first() -> None:
    """Errors of coarse splines are equally good; of noisy rows 8 % of the error outweigh an edge, 0.5 % do not."""

    def first(*networks: tuple[float, int]) -> tuple[float, int]:
        every = [
            Fitted((splines, 1), KAN(KANConfig((splines, 1)), seed=0), found, splines) for found, splines in networks
        ]
        best = min(every, key=lambda each: each.criterion(100))
        return best.error, best.edges

    assert first((0.008, 3), (0.0002, 7)) == (0.008, 3)
    assert first((0.1, 5), (0.092, 6)) == (0.092, 6)
    assert first((0.1, 5), (0.0995, 6)) == (0.1, 5)
