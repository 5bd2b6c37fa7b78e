"""New grids for a network that is already trained.

`refinement` gives every spline more intervals. If the finer grid holds every knot of the coarser one, the function
stays the same (knot insertion). Otherwise the spline is fitted by least squares. `adaptation` moves the knots to the
data: with 90 % of the rows in [0, 1] and the rest between 1 and 10, most intervals then lie in [0, 1]. `alignment`
gives several networks common grids.
"""
