"""What a promise of direction costs in accuracy, and where it helps.

The same rows are fitted four times: by KANRegressor or KANClassifier without and with ``monotone=``, and by
scikit-learn's HistGradientBoosting without and with ``monotonic_cst``. All have their defaults, ours no search.
:mod:`.cases` has five real tables of the choosing half, and 300 rows of a truth that is known. :mod:`.regimes` draws
rows of two known truths, few and many, with little noise and with much.

A promise saves variance: fewer curves can be fitted to noise. It costs bias where a fit with a direction bends less
easily. So it should help where rows are few, where noise is high, and for rows outside of the training rows.
"""
