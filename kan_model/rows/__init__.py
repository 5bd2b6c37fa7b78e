"""What a network computes of the rows of a whole table.

`blocks` answers many rows in bounded memory. `known_rows` keeps what rows that stay the same determine without the
parameters. `jacobian` gives the derivative of every answer by every parameter, layer by layer: for a layer φ with
y_j = Σ_i φ_ji(x_i), ∂answer/∂c_jim = ∂answer/∂y_j · B_m(x_i). Example: of a single layer the derivative of answer j by
a coefficient is the value of its basis function at the row's input.
"""
