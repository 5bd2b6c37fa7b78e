"""Probabilities of classes that can be taken at their word.

Temperature scaling (Guo et al. 2017) divides the scores z of the classes by one number T before the softmax:

    p = softmax(z / T),    T = argmin Σ_i -log softmax(z_i / T)[y_i]

over rows that the network did not train on, as far as the gain is larger than chance explains. The order of the classes
stays. T goes into the last layer of the network, so it costs nothing to serve.

Example: scores [2, 0] are probabilities of 0.88 and 0.12. If such rows are of the first class in 73 of 100 cases, T = 2
gives [1, 0] and 0.73.

The network is the mean of members, and each row was left out by one of them: `mean_scores` estimates what the mean says
of new rows. `temperature` chooses a T for scores, and `mean_temperature` that of the mean. `scores` compares scores
before and after, and `error` tells how far probabilities are from shares of rows. `sets` makes sets of classes, a share
of which holds the true one.
"""

from training.calibration.left_out import LeftOutRows as LeftOutRows
from training.calibration.mean_scores import estimate_mean_scores as estimate_mean_scores
from training.calibration.mean_temperature import choose_mean_temperature as choose_mean_temperature
from training.calibration.scores import compare_scores as compare_scores
from training.calibration.scores import divide_scores as divide_scores
from training.calibration.sets import class_sets as class_sets
from training.calibration.sets import find_sets as find_sets
from training.calibration.sets import judge_sets as judge_sets
from training.calibration.temperature import Temperature as Temperature
from training.calibration.temperature import choose_temperature as choose_temperature
