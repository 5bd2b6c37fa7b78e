"""How much inputs, nodes and edges contribute to a network's answers on rows of data.

`edge_values` evaluates every edge; `attribution`, `penalty` and `pruning` are built on it. The score of an edge grows
with the standard deviation of its output. Example: an edge that gives 3.0 to every row has the standard deviation 0,
and pruning moves the 3.0 into the bias of the node that the edge feeds. The penalty uses mean |φ| instead, the size of
an edge in arXiv 2404.19756: 3.0 in this example.
`dependence` says how far the answers move if one input alone is drawn anew: no share of standard deviations tells that
where effects cancel inside the network.
`effect` needs no edges: it is the answer in raw units while one column changes.
`laplacian` differentiates the answers by the inputs, once and twice. `curve_sum` reads a network that is a sum of
curves and of terms of two columns as such.
"""
