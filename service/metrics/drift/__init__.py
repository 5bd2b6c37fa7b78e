"""Drift: whether served rows, and the answers to them, are distributed as in training.

Each counted column has about ten cells that the manifest fixes, so counts of replicas add up. Each row is in one cell:

    19 to 28, …     a part of the training range; neighbouring bins of the histogram are merged to equal shares
    below, above    outside the training range
    empty           inside it, in a bin of the histogram without a training row
    missing         NaN, of a column that may have gaps

With the shares p of the served rows and q of the training rows, the population stability index is the sum over the
cells of (p - q) ln(p / q): 0 for equal shares, about 0.1 for a shift by a third of a standard deviation, 0.9 for a
whole one.

`cells` makes cells from histograms, `columns` reads the manifest, `served_rows` counts, `families` shows the counts.
"""
