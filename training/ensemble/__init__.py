"""Several networks that are fitted together and published as their mean.

The rows that may train are dealt into as many folds as there are members. Member m is fitted to all rows except
those of fold m. So every row has one member that never saw it, and the answer of that member is the row's
*out-of-fold* answer. The step with the lowest loss of the out-of-fold answers is kept: each row both trains and
chooses, and no row judges a member that was fitted to it.

Example: 4 members and 1,000 rows. Each member trains on 750 rows, and 1,000 out-of-fold answers choose the step. With
one network and a validation part of 15 %, 850 rows would train and 150 would choose.

`folds` deals the rows, `side_by_side` makes one network of the members, `start` gives them their random start, and
`fit` fits them, monotone ones twice (`lessons`). :func:`kan_model.mean_network` then makes the published network.
"""
