"""Fits a network to rows: `fit` on one grid after another, `continual` to new rows without forgetting the old ones.

A fit minimises the mean loss of the training rows and keeps the weights that are best on the validation rows.
`optimizers` moves the weights: Adam, LBFGS or Levenberg–Marquardt (`least_squares`). `record` holds what a step and an
evaluation saw.
"""
