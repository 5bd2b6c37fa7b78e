"""Strategies: ways to write the splines of one layer as standard ONNX operators.

All strategies evaluate the same splines; they differ in speed and in rounding. Most use another basis of the same
splines and change the coefficients to it. Example: the hat function at 0 with knots −1, 0, 1 is
(|x + 1| − 2·|x| + |x − 1|) / 2. So three functions |x − t| and one matrix product replace the Cox–de Boor recursion.

To add a strategy: a file here with a class that follows :class:`kan_model.lowering.strategies.strategy.Strategy`, an
entry in ``STRATEGIES`` of the driver, a test beside the others.
"""
