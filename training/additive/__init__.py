"""Additive models: networks of one layer, fitted by penalised least squares or Newton steps instead of an optimizer.

The answer is a sum of curves, one for each input:

    answer(x) = c + f₁(x₁) + … + f_d(x_d)

Each curve is a spline whose bends are penalised, each column by its own λ; the λs minimize the generalised
cross-validation score. Example: y = sin(x) + noise from 200 rows and 20 intervals. Without a penalty the curve has 22
degrees of freedom and follows the noise; GCV chooses a λ that leaves it about 6.

`terms` says which curves there are and what they may cost, `rows` sums the rows up, `criterion` and `smoothing` choose
the λs, `families`, `newton` and `descent` fit classes, counts and amounts, `network` writes the curves as a layer, and
`plan` is the fit that a recipe with `additive = true` takes.

Source: Wood, Stable and efficient multiple smoothing parameter estimation for generalized additive models (2004);
Eilers and Marx, Flexible smoothing with B-splines and penalties (1996).
"""
