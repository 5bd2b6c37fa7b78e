"""What the parts of a network contribute to its answers on rows of data.

`edge_values` evaluates every edge; `attribution`, `penalty` and `pruning` are built on it. An edge matters by the
standard deviation of its output: one that gives 3.0 to every row has 0, and pruning moves the 3.0 into the bias of the
node behind it. The penalty pays for mean |φ| instead, the size of an edge in arXiv 2404.19756, which is 3.0 here.
"""
