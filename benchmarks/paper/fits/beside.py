"""One run of a function: KANs of several shapes, and MLPs of the best one's parameters and processor time."""

import time
from collections.abc import Mapping

from benchmarks.paper.experiment import Number
from benchmarks.paper.fits.kan import KANPlan, best_stage, fit_kan
from benchmarks.paper.fits.mlp import equal_parameters, equal_seconds
from benchmarks.paper.fits.points import Points

SAME_SIZE, SAME_TIME = "mlp_same_size", "mlp_same_time"


def measure_beside(points: Points, plans: Mapping[str, KANPlan], seed: int, mlp_steps: int = 30) -> dict[str, Number]:
    """Errors in the target's unit.

    Args:
        points: The points; validation chooses the grid of each KAN, the best KAN and the MLPs.
        plans: KANs by name.
        seed: Of all starts.
        mlp_steps: First steps of each MLP of equal parameters.

    Returns:
        ``scale``, the standard deviation of the target; ``best``, the name of the KAN with the lowest validation error;
        for each KAN ``NAME``, ``NAME_parameters``, ``NAME_grid`` and ``NAME_seconds``; for both MLPs ``NAME``,
        ``NAME_parameters`` and ``NAME_seconds``.
    """
    numbers: dict[str, Number] = {"scale": points.scale}
    kans = {}
    for name, plan in plans.items():
        stages = fit_kan(points, plan, seed)
        stage = best_stage(stages)
        kans[name] = (stage, stages[-1].cpu_seconds)
        numbers |= {
            name: points.scale * stage.test,
            f"{name}_parameters": stage.parameters,
            f"{name}_grid": stage.grid_size,
            f"{name}_seconds": stages[-1].cpu_seconds,
        }
    best = min(kans, key=lambda name: kans[name][0].validation)
    stage, seconds = kans[best]
    numbers["best"] = best
    for name in (SAME_SIZE, SAME_TIME):
        begin = time.process_time()
        if name == SAME_SIZE:
            mlp = equal_parameters(points, stage.parameters, seed, mlp_steps)
        else:
            mlp = equal_seconds(points, seconds, seed)
        numbers |= {
            name: points.scale * mlp.test,
            f"{name}_parameters": mlp.parameters,
            f"{name}_seconds": time.process_time() - begin,
        }
    return numbers
