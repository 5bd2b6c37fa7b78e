"""Bounds around the answers of a regression, between which a share of new rows will lie.

Each row that may train has one member of the ensemble that never saw it. The error of that member's answer is the row's
*score*. With n scores, the bounds are the published answer ± the score of rank ⌈(n + 1) · coverage⌉, so that the true
value of a new row lies between them as often as a new score is at most that large. It does so for any distribution of
the rows, if new rows are like those of the table; the published answer is the mean of the members, which errs less than
one of them, so the bounds hold a little more than they promise.

Example: coverage 0.9 and 199 scores. The rank is ⌈200 · 0.9⌉ = 180; the 180th smallest error is 2.5, so the answer 10
has the bounds 7.5 and 12.5.

No row scores a member that it trained, whose step it chose, or whose plan it chose: see :mod:`training.fitting.apart`.
With a target on a log scale errors are differences of logarithms. Where errors differ from row to row in a way that
the inputs tell, they are divided by a learned scale (:mod:`training.intervals.scale`) before the rank is taken.

Source: the pooled form of CV+ of Barber, Candès, Ramdas and Tibshirani, Predictive inference with the jackknife+
(2021); scaled scores: Lei, G'Sell, Rinaldo, Tibshirani and Wasserman (2018), section 5.2.
"""
