"""The language model as a graph, compared with torch's answers."""

import itertools

import numpy as np
import onnx
import pytest
import torch

from benchmarks.common.sessions import open_session
from benchmarks.paper.language.export import export
from benchmarks.paper.language.graph import choose_strategies, language_graph
from benchmarks.paper.language.network import LanguageModel, Mixer, Shape
from benchmarks.paper.language.sampling import sample
from benchmarks.paper.language.speed import BATCHES, forward_seconds
from benchmarks.paper.language.text import read_text
from benchmarks.paper.language.training import fit

SHAPE = Shape(vocabulary=103, width=16)


@pytest.fixture(scope="module", params=["KAN", "MLP"])
def trained(request: pytest.FixtureRequest) -> LanguageModel:
    """A network after some large steps, which move its weights away from their start."""
    mixer: Mixer = request.param
    network = LanguageModel(SHAPE, mixer, seed=3)
    fit(network, read_text(), steps=12, learning_rate=0.03, seed=3, looks=1)
    return network


@pytest.fixture(scope="module")
def graph(trained: LanguageModel) -> onnx.ModelProto:
    """Its graph, with the first strategies that are exact enough."""
    tokens = read_text().train[:640].view(10, 64)
    return language_graph(trained, choose_strategies(trained, tokens, tune_for=()))


def test_it_answers_as_torch_for_every_batch_and_length(trained: LanguageModel, graph: onnx.ModelProto) -> None:
    """Float32 logits are within 1e-4 of their range of torch's float64 logits, with one graph for all shapes."""
    session, exact = open_session(graph.SerializeToString()), LanguageModel(SHAPE, _mixer(trained)).double()
    exact.load_state_dict(trained.state_dict())
    for batch, length in itertools.product((1, 5), (1, 7, 64)):
        tokens = torch.randint(103, (batch, length), generator=torch.Generator().manual_seed(length))
        with torch.no_grad():
            wanted = exact(tokens).numpy()
        (answers,) = session.run(None, {"tokens": tokens.numpy()})
        assert answers.shape == (batch, length, 103)
        assert np.abs(answers - wanted).max() <= 1e-4 * np.ptp(wanted)


def test_it_says_which_dimensions_vary(graph: onnx.ModelProto) -> None:
    """Names of both in the input and the output, and only standard operators."""
    dimensions = [
        [each.dim_param or each.dim_value for each in value.type.tensor_type.shape.dim]
        for value in (graph.graph.input[0], graph.graph.output[0])
    ]
    assert dimensions == [["batch", "sequence"], ["batch", "sequence", 103]]
    assert {node.domain for node in graph.graph.node} == {""}
    assert [each.version for each in graph.opset_import] == [17]


def test_it_writes_text(graph: onnx.ModelProto) -> None:
    """Longer than its context, and the same from the same seed."""
    vocabulary = read_text().vocabulary
    first, second = (sample(graph, vocabulary, SHAPE.context, "The ", 70, 0.7, seed=0) for _ in range(2))
    assert first == second
    assert first.startswith("The ")
    assert len(first) == 74


@pytest.mark.slow
def test_the_export_by_torch_answers_the_same(trained: LanguageModel, graph: onnx.ModelProto) -> None:
    """So that times of the two compare the same function."""
    pytest.importorskip("onnxscript", reason="only the extra [bench] has it: torch.onnx exports by it")
    theirs = export(trained)
    tokens = np.random.default_rng(0).integers(0, 103, (2, 9))
    first, second = (
        open_session(each.SerializeToString()).run(None, {each.graph.input[0].name: tokens})[0]
        for each in (graph, theirs)
    )
    assert np.abs(first - second).max() <= 1e-4 * np.ptp(first)
    assert [len(times) for times in forward_seconds([graph, theirs], 103, 0.01)] == [2] * len(BATCHES)


def _mixer(network: LanguageModel) -> Mixer:
    return "MLP" if isinstance(network.blocks[0].mixer, torch.nn.Sequential) else "KAN"
