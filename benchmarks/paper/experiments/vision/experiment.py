"""The runs, and what the page shows of them."""

import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.common.markdown import render
from benchmarks.paper.experiment import Conclusion, Experiment, Number, Outcome, Run
from benchmarks.paper.experiments.vision.equal_time import timed_candidates
from benchmarks.paper.experiments.vision.fitting import Candidate, accuracy, digits, fit_best
from benchmarks.paper.experiments.vision.graphs import ROWS, compare_graphs
from benchmarks.paper.experiments.vision.networks import cnn, convolutional_kan, flat_kan, hidden_for, mlp
from benchmarks.paper.medians import column, number
from benchmarks.paper.outcomes import by_contender
from kan_model import parameter_count
from kan_model.vision.image_kan import ImageKAN, image_parameter_count

_CASE, _KAN, _SAME_TIME = "digits", "convolutional KAN", "MLP, equal CPU time"
# By contender: the candidates of which the validation rows choose.
_CANDIDATES = {
    _KAN: [Candidate(convolutional_kan)],
    "flat KAN": [Candidate(flat_kan)],
    "CNN": [Candidate(cnn)],
    "MLP, equal parameters": [Candidate(partial(mlp, hidden_for(layers))) for layers in (1, 2)],
}
_CONTENDERS = (*_CANDIDATES, _SAME_TIME)
# Of the KANs and the CNN, and of the MLPs.
_SEEDS, _MLP_SEEDS = 6, 3


def _plan(is_quick: bool) -> Sequence[Run]:
    return [
        Run(_CASE, name, seed)
        for seed in range(1 if is_quick else _SEEDS)
        for name in _CONTENDERS
        if seed < _MLP_SEEDS or not name.startswith("MLP")
    ]


def _measure(run: Run, is_quick: bool) -> Mapping[str, Number]:
    more: dict[str, Number] = {}
    if run.contender == _SAME_TIME:
        candidates, kan_seconds = timed_candidates(run.seed)
        fit = fit_best(candidates, run.seed, is_quick)
        more = {"kan_seconds": kan_seconds, "seconds": fit.cpu_seconds, "epochs": fit.epochs}
    else:
        fit = fit_best(_CANDIDATES[run.contender], run.seed, is_quick)
    best = fit.network
    numbers: dict[str, Number] = {
        "accuracy": accuracy(best, digits().test),
        "validation accuracy": fit.validation_accuracy,
        "parameters": image_parameter_count(best) if isinstance(best, ImageKAN) else parameter_count(best),
        **more,
    }
    if isinstance(best, ImageKAN) and run.seed == 0:
        numbers |= compare_graphs(best, is_quick)
    return numbers


def _show(outcomes: Sequence[Outcome], _: Path) -> str | None:
    found = by_contender(outcomes, _CASE)
    if not found.keys() >= set(_CONTENDERS):
        return None
    rows = [["test accuracy", "median", "smallest to largest", "validation, first fit", "parameters", "CPU s"]]
    for name in _CONTENDERS:
        seen = [100 * each for each in column(found[name], "accuracy")]
        timed = column(found[name], "seconds") if name == _SAME_TIME else [one.cpu_seconds for one in found[name]]
        spread = f"{min(seen):.2f} to {max(seen):.2f}"
        chosen = 100 * statistics.median(column(found[name], "validation accuracy"))
        parameters = f"{statistics.median(column(found[name], 'parameters')):,.0f}"
        median = f"{statistics.median(seen):.2f} %"
        rows.append([name, median, spread, f"{chosen:.2f} %", parameters, f"{statistics.median(timed):.0f}"])
    return f"{render(rows)}\n{_equal_time(found[_SAME_TIME])}\n{_graphs(found[_KAN])}"


def _equal_time(outcomes: Sequence[Outcome]) -> str:
    """How the time of the MLP of equal time was found."""
    kan, own, epochs = (statistics.median(column(outcomes, name)) for name in ("kan_seconds", "seconds", "epochs"))
    return (
        "*MLP, equal parameters* has one or two hidden layers, by the validation rows. *MLP, equal CPU time* is one of "
        "these or a network [64,512,512,10], by the validation rows: half of the time goes to the first fits of the "
        "three, half to the second fit of the chosen one. The time is 75 times that of an epoch of both fits of the "
        f"convolutional KAN, timed just before over four epochs each: {kan:.0f} s, of which the MLP took {own:.0f} s; "
        f"its second fit had {epochs:,.0f} epochs. CPU s of the KANs and the CNN are of other runs, beside "
        "other work."
    )


def _graphs(outcomes: Sequence[Outcome]) -> str:
    """Times of the graphs, which one run has measured."""
    timed = next((one for one in outcomes if f"ours µs, {ROWS[0]} rows" in one.numbers), None)
    if timed is None:
        return ""
    rows = [["one run in onnxruntime", "lowered", "torch.onnx's export", "ratio"]]
    for count in [each for each in ROWS if f"ours µs, {each} rows" in timed.numbers]:
        ours, theirs = (number(timed, f"{name} µs, {count} rows") for name in ("ours", "torch"))
        rows.append([f"{count} rows", f"{ours:.0f} µs", f"{theirs:.0f} µs", f"{theirs / ours:.1f}"])
    return f"\n{render(rows)}\n"


def _summary(outcomes: Sequence[Outcome]) -> str:
    found = by_contender(outcomes, _CASE)
    if not found.keys() >= set(_CONTENDERS):
        return ""
    medians = {name: 100 * statistics.median(column(found[name], "accuracy")) for name in _CONTENDERS}
    return "Test accuracy: " + ", ".join(f"{name} {value:.2f} %" for name, value in medians.items()) + "."


def _accuracy(name: str, outcome: Outcome) -> float | None:
    return number(outcome, "accuracy") if outcome.run.contender == name else None


EXPERIMENT = Experiment(
    name="vision",
    title="Vision: digits as images",
    claim=(
        "Not of the paper. Handwritten digits of scikit-learn as images of 8 × 8 pixels, in the split of the recipe "
        "digits-images: a convolutional KAN, a flat KAN, a CNN and an MLP of as many parameters, and an MLP of as much "
        "processor time. All are fitted as that recipe says: Adam, images that move, turn and zoom a little in each "
        "epoch, smoothed labels, and a second fit of as many epochs on the training and the validation rows, which the "
        "test rows judge. Shape of the convolutions, grid, rate, smoothing and changes of the images were chosen by "
        "cross-validation of the convolutional KAN within these rows. A first choice (smaller changes, linear "
        "interpolation, 30 epochs) was seen to get 98.05 % here in the median, with average pooling in place of the "
        "stride; only then epochs and changes were chosen again, each by one or two folds. In five folds of these "
        "1,438 rows the whole choice had 4 wrong. No other contender had a choice of its own, but for the shapes and "
        "epochs of the MLPs. This experiment is in float32, as digits are served."
    ),
    revision=3,
    compared=("accuracy",),
    conclusions=tuple(
        Conclusion(f"{name}, test accuracy", partial(_accuracy, name)) for name in (_KAN, "flat KAN", "CNN")
    ),
    plan=_plan,
    measure=_measure,
    show=_show,
    summary=_summary,
)
