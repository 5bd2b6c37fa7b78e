"""Ways to write the splines of one layer as standard ONNX ops.

Every strategy evaluates the same splines; they differ in speed and in rounding. Most write functions whose sums are
all splines of the grid, and change the coefficients to fit them. Example: the hat function at 0 with knots −1, 0, 1 is
(|x + 1| − 2·|x| + |x − 1|) / 2, so three powers |x − t| and one matrix product replace a recursion.

To add one: a file here with a subclass of :class:`kan_model.lowering.strategies.strategy.Strategy`, its name in the
driver's list, a test beside the others.
"""
