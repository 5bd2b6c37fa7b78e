"""Other grids for a network that is already trained.

`refinement` gives every spline more intervals. Where the finer grid holds every knot of the coarser one the function
stays the same (knot insertion); elsewhere it is fitted by least squares. `adaptation` moves the knots to where the
data are: with 90 % of the rows in [0, 1] and the rest up to 10, most intervals then lie in [0, 1].
"""
