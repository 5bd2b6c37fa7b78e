"""A transformer whose MLPs are KANs: a small language model on characters, at equal parameters and at equal time."""

import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.common.markdown import render
from benchmarks.paper.experiment import Conclusion, Experiment, Outcome, Run
from benchmarks.paper.language.contest import (
    CONTENDERS,
    KAN_MODEL,
    WIDTHS,
    case_of,
    measure,
)
from benchmarks.paper.language.pictures import BY_PARAMETERS, BY_SECONDS, draw
from benchmarks.paper.language.speed import BATCHES
from benchmarks.paper.medians import column, number, numbers
from benchmarks.paper.outcomes import by_contender

SEEDS = 4
_SETTING = """The text is `pydoc_data.topics`, the help that ships with Python: 373,000 characters of English in 3.11.7,
each paragraph once. A tenth is the test text, in pieces of 4,000 characters. The model predicts the next of 103
characters from at most 64, and a window of the test text starts without context. The model has two blocks: causal
attention (four heads), then an MLP d → 4d → d with SiLU or a KAN d → h → d (cubic, 3 intervals on [-3, 3]). h is chosen
for equal parameters. Both are trained by AdamW on the same windows, 2,000 steps of 512 characters, in float32. They
read the training text 3.4 times, and no loss has reached its floor. *MLP, equal time* makes as many more steps as its
steps are faster.

Little was tuned, on the validation text after 600 steps at width 32: for each mixer the better learning rate of 0.006
and 0.012, and one start of the characters' vectors for both. They start with σ = 0.1: the best losses were KAN 2.50 and
MLP 2.41 nats. With σ = 1 they were 2.47 and 2.46, the MLP's at 0.006 only.
"""


def plan(quick: bool) -> Sequence[Run]:
    """All seeds of three sizes; quickly: the smallest size once."""
    seeds, widths = (1, WIDTHS[:1]) if quick else (SEEDS, WIDTHS)
    return [
        Run(case_of(width), contender, seed) for seed in range(seeds) for width in widths for contender in CONTENDERS
    ]


def show(outcomes: Sequence[Outcome], pictures: Path) -> str | None:
    """Tables, pictures and a sample, of the sizes at which every contender has run."""
    sizes = _complete(outcomes)
    if not sizes:
        return None
    draw(sizes, CONTENDERS, pictures)
    parts = [_SETTING, _losses(sizes), _picture("Test loss against parameters", BY_PARAMETERS)]
    parts += [_picture("Validation loss against seconds", BY_SECONDS)]
    timed = [each for size in sizes for found in size.values() for each in found if "our_seconds" in each.numbers]
    if timed:
        parts += [_times(timed)]
    samples = [each for each in timed if each.run.contender == KAN_MODEL]
    if samples:
        parts += [_sample(samples[-1])]
    return "\n".join(parts)


def summary(outcomes: Sequence[Outcome]) -> str:
    """Which of KAN and MLP has the smaller loss at the largest size."""
    sizes = _complete(outcomes)
    if not sizes:
        return ""
    bits = {contender: _median(found, "bits") for contender, found in sizes[-1].items()}
    kan, same_size, same_time = (bits[contender] for contender in CONTENDERS)
    wins = [kan < same_size, kan < same_time]
    verdict = {
        (True, True): "A KAN in place of the MLP wins",
        (True, False): "A KAN in place of the MLP wins at equal steps and loses at equal time",
        (False, True): "A KAN in place of the MLP loses at equal steps and wins at equal time",
        (False, False): "A KAN in place of the MLP loses",
    }[wins[0], wins[1]]
    return (
        f"{verdict}: {kan:.3f} bits a character in the largest model, the MLP {same_size:.3f} at equal parameters and "
        f"steps and {same_time:.3f} at equal parameters and time."
    )


def _bits(name: str, outcome: Outcome) -> float | None:
    return number(outcome, "bits") if outcome.run.contender == name else None


EXPERIMENT = Experiment(
    name="language",
    title="A language model with KANs",
    claim="The paper's abstract offers KANs as alternatives to MLPs, and none of its experiments is a language model. "
    "Here KANs take the place of a transformer's MLPs.",
    revision=1,
    compared=("bits",),
    conclusions=tuple(
        Conclusion(f"{name}, bits a character, mean over the sizes", partial(_bits, name)) for name in CONTENDERS
    ),
    plan=plan,
    measure=measure,
    show=show,
    summary=summary,
)


def _complete(outcomes: Sequence[Outcome]) -> list[Mapping[str, Sequence[Outcome]]]:
    sizes = [by_contender(outcomes, case_of(width)) for width in WIDTHS]
    return [size for size in sizes if all(contender in size for contender in CONTENDERS)]


def _losses(sizes: Sequence[Mapping[str, Sequence[Outcome]]]) -> str:
    head = ["model", "mixer", "parameters", "steps", "CPU s", "nats a character", "bits a character", "seeds"]
    rows = [
        [
            found[0].run.case,
            contender,
            f"{_median(found, 'parameters'):,.0f}",
            f"{_median(found, 'steps'):,.0f}",
            f"{_median(found, 'seconds'):.0f}",
            _spread(found, "nats"),
            _spread(found, "bits"),
            str(len(found)),
        ]
        for size in sizes
        for contender, found in ((contender, size[contender]) for contender in CONTENDERS)
    ]
    return render([head, *rows])


def _times(timed: Sequence[Outcome]) -> str:
    """Ours beside torch.onnx's export, in milliseconds of a run."""
    head = ["model", "mixer", "graph", *(f"{sequences} × {length}" for sequences, length in BATCHES)]
    rows = []
    for each in timed:
        mixer = "KAN" if each.run.contender == KAN_MODEL else "MLP"
        for graph, name in (("ours", "our_seconds"), ("torch.onnx", "export_seconds")):
            rows.append([each.run.case, mixer, graph, *(f"{1000 * seconds:.3g}" for seconds in numbers(each, name))])
    error = max(number(each, "graph_error") for each in timed)
    before = (
        f"The logits of our graphs are within {error:.1e} of their range of torch's. Milliseconds of a forward pass in "
        "onnxruntime on one thread, for sequences × characters:\n\n"
    )
    return before + render([head, *rows])


def _sample(outcome: Outcome) -> str:
    text = str(outcome.numbers["sample"])
    before = f'The model with KANs, {outcome.run.case}, writes by its ONNX graph (prompt "The ", temperature 0.7):'
    return f"{before}\n\n```text\n{text}\n```\n"


def _picture(title: str, file: str) -> str:
    return f"![{title}](pictures/paper/{file})\n"


def _spread(found: Sequence[Outcome], name: str) -> str:
    losses = column(found, name)
    return f"{statistics.median(losses):.3f} ({min(losses):.3f} to {max(losses):.3f})"


def _median(found: Sequence[Outcome], name: str) -> float:
    return statistics.median(column(found, name))
