"""Estimators in scikit-learn's manner, over the same steps that `kan-train init` and `kan-train run` take.

`fit(X, y)` drafts the recipe that `kan-train init` drafts for a table of these rows, and fits it as `kan-train run`
does, with one difference: an estimator holds out no test rows. Example: 1,000 rows and a drafted recipe. `kan-train
run` fits 800 rows, judges that fit on the other 200, and fits all 1,000 again; an estimator fits all 1,000 at once.

`rows` reads X and y, `chosen_recipe` makes parameters a recipe, `fit` follows it, `estimator` is what both estimators
share. `fitted` is what can be done with a fitted one: `publication` publishes it, `insight` shows what it learned.
`progress` tells how a fit goes, and `notes` what it noted, in the words of an estimator.
"""

from training.estimators.classifier import KANClassifier
from training.estimators.regressor import KANRegressor

__all__ = ["KANClassifier", "KANRegressor"]
