"""Pictures of a KAN: the whole network as a diagram, one edge in detail.

`levels` says which nodes are drawn and where, `names` how names are written. The figures are matplotlib's, made without
pyplot, so no global state changes. ``figure.savefig`` writes PNG or SVG.
"""

from kan_model.plot.diagram import diagram as diagram
from kan_model.plot.edge_detail import edge_detail as edge_detail
