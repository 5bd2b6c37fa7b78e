"""Poisson's equation on a square: a KAN against an MLP of a hundred times its parameters.

The loss is the paper's, 0.01 · mean (Δu − f)² in the square + mean u² on its boundary. The second derivatives of the
splines are in closed form (:mod:`kan_model.analysis.laplacian`). The residuals of a KAN are linear in the coefficients
of each layer, so Levenberg–Marquardt needs few steps; an MLP of this size is too large for it and gets LBFGS. Of the
MLPs that get the KAN's processor time (:mod:`.equal_time`), small ones are trained by Levenberg–Marquardt too.
"""

from benchmarks.paper.experiments.poisson.runs import EXPERIMENT as EXPERIMENT
