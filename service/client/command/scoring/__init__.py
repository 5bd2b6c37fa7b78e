"""How good answers are, for a file with the true values: the metrics of its task, and the loss of its objective."""
