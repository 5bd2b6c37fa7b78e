"""Laws found again from noisy rows: KANs beside gplearn.

Both get 400 rows to learn from and 100 to choose by, whatever the law. :mod:`judge` says what counts as found.
"""

from benchmarks.paper.experiments.noise.runs import EXPERIMENT as EXPERIMENT
