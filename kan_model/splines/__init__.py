"""B-splines of one variable: the learnable part of every edge.

A spline of degree k on G intervals is a sum Σ_i c_i B_i(x) of G + k basis functions; the layer learns the
coefficients c_i. On each interval k + 1 basis functions differ from 0, and all of them add up to 1.

Example: degree 1 on [0, 2] with G = 2 has the knots −1, 0, 1, 2, 3 and three basis functions, the hats at 0, 1 and 2.
At x = 0.25 they are 0.75, 0.25 and 0, so the coefficients (4, 8, 1) give 0.75 · 4 + 0.25 · 8 = 5.

Definition and recursion: de Boor, A Practical Guide to Splines; the same as SciPy's ``BSpline(t, c, k)``.
"""
