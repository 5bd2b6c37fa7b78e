"""How far the served probabilities of classes can be taken at their word, beside LightGBM's.

The calibration error of a table is that of :mod:`training.calibration.error` over the held-out rows of all its splits:
the rows are sorted by the probability of their most probable class and cut into 15 bins of equal weight; it is the mean
of |mean probability - share of rows of that class|. Ours are what ``kan-client`` prints of a model that ``kan-train
init`` and ``run`` made with the section ``[calibration]``; beside them are the same answers with the division undone,
as they are without the section. LightGBM's are those of its defaults.
"""
