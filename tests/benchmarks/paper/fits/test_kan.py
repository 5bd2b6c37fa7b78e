"""KANs from random starts to finer grids."""

import pytest

from benchmarks.paper.fits.kan import KANPlan, Stage, best_stage, fit_kan
from benchmarks.paper.fits.points import Points, points_of
from benchmarks.paper.functions.toy import TOYS

PRODUCT = TOYS[2]


@pytest.fixture(scope="module")
def points() -> Points:
    """Of x·y."""
    return points_of(PRODUCT, 0, 200, 100)


def test_a_product_node_finds_xy(points: Points) -> None:
    """[2,[0,1],1] holds x·y: below 1e-6 on points that it has not seen."""
    stages = fit_kan(points, KANPlan((2, (0, 1), 1), (3, 5, 10), starts=6), seed=0)
    assert best_stage(stages).test * points.scale < 1e-6


def test_stages_go_from_grid_to_grid(points: Points) -> None:
    """Up to the largest number of parameters; the same seed gives the same errors."""
    plan = KANPlan((2, 2, 1), (3, 5, 10, 20), 3, starts=2, start_steps=2, most_parameters=60)
    first, again = fit_kan(points, plan, 4), fit_kan(points, plan, 4)
    assert [(stage.grid_size, stage.parameters) for stage in first] == [(3, 42), (5, 54)]
    assert [stage.test for stage in first] == [stage.test for stage in again]
    assert first[0].cpu_seconds <= first[1].cpu_seconds


def test_validation_chooses() -> None:
    """Whatever the test error."""
    worse, better = Stage(3, 10, 0.2, 0.0, 1.0), Stage(5, 20, 0.1, 0.5, 2.0)
    assert best_stage([worse, better]) is better
