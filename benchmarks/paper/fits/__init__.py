"""Fits that the experiments share: points of a function, KANs from grid to grid, MLPs beside them.

All of them see inputs scaled to [-1, 1] and targets of mean 0 and variance 1, in float64. The validation points choose
the start, the grid and the network; the test points give the error and are used for nothing else.
"""
