"""One run: a model with a KAN, or one with an MLP that has as many parameters, or also as much time."""

import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from benchmarks.common.sessions import open_session
from benchmarks.paper.experiment import Number, Run
from benchmarks.paper.language.export import export
from benchmarks.paper.language.graph import INPUT, choose_strategies, language_graph
from benchmarks.paper.language.network import LanguageModel, Mixer, Shape
from benchmarks.paper.language.sampling import sample
from benchmarks.paper.language.speed import forward_seconds
from benchmarks.paper.language.text import Text, read_text
from benchmarks.paper.language.training import fit, loss, train_step, windows

KAN_MODEL, EQUAL_PARAMETERS, EQUAL_TIME = "KAN", "MLP, equal parameters", "MLP, equal time"
CONTENDERS = (KAN_MODEL, EQUAL_PARAMETERS, EQUAL_TIME)
WIDTHS = (16, 32, 64)
# The better of 6e-3 and 1.2e-2 on the validation text, after 600 steps of seed 0 at width 32.
_LEARNING_RATES: Mapping[Mixer, float] = {"KAN": 6e-3, "MLP": 1.2e-2}
_PROMPT = "The "


@dataclass(frozen=True)
class Effort:
    """How long a run takes.

    Attributes:
        steps: Steps of training; an MLP of equal time has more.
        timed_steps: Steps of each network that compare their times.
        most_windows: The most windows of the test text; None: all.
        is_shown: Whether the graph is timed, and a text sampled.
    """

    steps: int
    timed_steps: int
    most_windows: int | None
    is_shown: bool


FULL, QUICK = Effort(2000, 25, None, True), Effort(20, 3, 32, False)


def case_of(width: int) -> str:
    """The name of a size."""
    return f"{width} wide"


def measure(run: Run, quick: bool) -> Mapping[str, Number]:
    """Train and judge one model. Graphs are timed and a text is sampled for the first seed."""
    effort, text = QUICK if quick else FULL, read_text()
    effort = replace(effort, is_shown=effort.is_shown and run.seed == 0 and run.contender != EQUAL_TIME)
    width = int(run.case.split()[0])
    shape = Shape(len(text.vocabulary), width)
    mixer: Mixer = "KAN" if run.contender == KAN_MODEL else "MLP"
    network = LanguageModel(shape, mixer, run.seed)
    steps = effort.steps
    if run.contender == EQUAL_TIME:
        steps = round(steps * _kan_seconds(shape, text, effort.timed_steps))
    fitted = fit(network, text, steps, _LEARNING_RATES[mixer], run.seed)
    nats = loss(network, text.test, effort.most_windows)
    numbers: dict[str, Number] = {
        "nats": nats,
        "bits": nats / math.log(2),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "steps": steps,
        "seconds": fitted.seconds[-1],
        "way_seconds": fitted.seconds,
        "way_nats": fitted.losses,
    }
    if effort.is_shown:
        numbers.update(_shown(network, text))
    return numbers


def _shown(network: LanguageModel, text: Text) -> Mapping[str, Number]:
    """Times of the graphs and a sample."""
    context = network.shape.context
    tokens = text.train[: 16 * context].view(16, context)
    graph = language_graph(network, choose_strategies(network, tokens))
    (answers,) = open_session(graph.SerializeToString()).run(None, {INPUT: tokens.numpy()})
    with torch.no_grad():
        wanted = network(tokens).numpy()
    times = forward_seconds([graph, export(network)], network.shape.vocabulary)
    return {
        "graph_error": float(np.abs(answers - wanted).max() / np.ptp(wanted)),
        "our_seconds": [ours for ours, _ in times],
        "export_seconds": [theirs for _, theirs in times],
        "sample": sample(graph, text.vocabulary, context, _PROMPT, 400, 0.7, seed=0),
    }


def _kan_seconds(shape: Shape, text: Text, steps: int) -> float:
    """Time of a step with KANs, in steps with MLPs. They take turns, so that other work slows both."""
    seconds: dict[Mixer, list[float]] = {"KAN": [], "MLP": []}
    networks = {mixer: LanguageModel(shape, mixer) for mixer in seconds}
    optimizers = {mixer: torch.optim.AdamW(network.parameters()) for mixer, network in networks.items()}
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        batch = windows(text.train, shape.context, generator)
        for mixer, network in networks.items():
            start = time.process_time()
            train_step(network, optimizers[mixer], batch)
            seconds[mixer].append(time.process_time() - start)
    return statistics.median(seconds["KAN"]) / statistics.median(seconds["MLP"])
