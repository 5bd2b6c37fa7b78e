"""Networks whose answers rise, or fall, with some of their inputs, whatever their parameters are.

A rising function of a rising function rises, and so does a sum of rising functions. So an answer rises with an input if
every edge on every path from that input rises. All other edges are free:

    age (up) ──rises──▶ monotone node ──rises──▶ answer    Edges from a monotone node rise. A free input may feed it by
    rooms    ──free───▶ monotone node                      any curve: that moves the node, and turns no path of age.
    rooms    ──free───▶ free node     ──free───▶ answer    No monotone input reaches a free node.

Edges from a monotone node to a free node are masked, so an input that is not monotone keeps paths of its own. What it
gives up: where it acts together with a monotone input, it shifts the point on a rising curve.

`start` makes such a network of a new one, `promise` reads from any network what it promises. How an edge keeps its
direction is told in :mod:`kan_model.splines.rising`, and how Adam moves it in :mod:`kan_model.monotone.adam`.

Source: our derivation, after the idea of MKAN, arXiv 2606.17886.
"""
