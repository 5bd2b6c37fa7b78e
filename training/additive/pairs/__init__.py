"""Terms of two columns beside the curves of an additive model.

    answer(x) = c + f₁(x₁) + … + f_d(x_d) + Σ g(x_i, x_j)

A term g is the sum of all products of a function of the one column and a function of the other, with four λs. Its
coefficients are a matrix, whose singular values write it as a few products of two curves. So it is some nodes that
multiply two sums, and the network stays a KAN. Example: g(x, y) = sin(x + y) = sin x·cos y + cos x·sin y has two nodes.

`sides` says which functions of a column are multiplied, `evidence` which pairs there are, by the sums of `products`,
`likelihood` chooses their λs, `fit` fits them, `folds` serves the fits without a fold, and `nodes` writes them as
factors of nodes.

Source: Lou et al., Accurate intelligible models with pairwise interactions (2013); Wood, Scheipl and Faraway,
Straightforward intermediate rank tensor product smoothing in mixed models (2013).
"""
