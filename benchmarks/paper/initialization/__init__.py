"""The random starts of a network compared: ``python -m benchmarks.paper.initialization``.

Five experiments, each with networks of 2, 3 and 5 layers, are trained from each initialization with five seeds.
`experiments` says what is trained, `study` runs it and keeps each result, `table` judges. The result of a run is its
error on test rows, relative to the target's standard deviation (digits: the share of wrong classes).

A start is worse in an experiment if its median is above that of the paper's start by more than the distance of the
paper's quartiles, errors of functions on a logarithmic scale. The paper's start with five other seeds is judged too:
it shows how often chance alone looks so.
"""
