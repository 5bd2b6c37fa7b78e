"""Fig. 3.1: test error against parameters on five toy functions, KANs of the right shape and MLPs of depth 2 to 5.

A full run takes about an hour of processor time, by the cells measured so far.
"""

from benchmarks.paper.experiment import Experiment
from benchmarks.paper.experiments.toy.cases import measure, plan
from benchmarks.paper.experiments.toy.report import CONCLUSIONS, show, summary

EXPERIMENT = Experiment(
    name="toy",
    title="Five toy functions",
    claim=(
        "Fig. 3.1 and theorem 2.1: the test error of a cubic KAN of the right shape falls as N^-4 in its number of "
        "parameters N, whatever the dimension; MLPs fall slower and soon stop."
    ),
    revision=2,
    compared=("rmse",),
    conclusions=CONCLUSIONS,
    plan=plan,
    measure=measure,
    show=show,
    summary=summary,
)
