"""Fit a network to rows: `fit` on one grid after another, `continual` to new rows without forgetting the old ones.

A fit minimizes the mean loss of the training rows and keeps the weights with the lowest loss on the validation rows.
`optimizers` changes the weights: Adam, LBFGS or Levenberg–Marquardt (`least_squares`). `record` holds the results of a
step and of an evaluation.
"""
