"""A language model as an ONNX graph of standard operators (opset 17), for any number of sequences of any length."""

import math
from collections.abc import Sequence

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from benchmarks.paper.language.network import Attention, Block, LanguageModel
from kan_model import KAN
from kan_model.lowering import lower
from kan_model.lowering.driver import STRATEGIES
from kan_model.lowering.emit.blocks import emit_layer
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.onnx_graph import GraphBuilder, check

INPUT, OUTPUT = "tokens", "logits"
# One strategy for each layer of each block's KAN; an empty tuple for a block with an MLP.
Strategies = Sequence[Sequence[Strategy]]
_TIMED_ROWS = (1, 64, 512)
# Of the range of a mixer's answers, which are a part of what is summed in front of the logits.
_TOLERANCE = 3e-5


def language_graph(network: LanguageModel, strategies: Strategies) -> onnx.ModelProto:
    """``tokens`` int64 ``[batch, sequence]`` -> ``logits`` float32 ``[batch, sequence, vocabulary]``.

    A sequence has 1 to ``network.shape.context`` tokens. All values between are rows, ``[batch · sequence, width]``,
    except inside the attention.

    Args:
        network: The network, float32.
        strategies: As :func:`choose_strategies` gives them.
    """
    writer = _Writer(GraphBuilder(INPUT, 1), network)
    rows = writer.embed()
    for index, (block, chosen) in enumerate(zip(network.blocks, strategies, strict=True)):
        assert isinstance(block, Block)
        rows = writer.block(f"block{index}", block, rows, chosen)
    model = writer.graph.build({OUTPUT: (writer.answer(rows), ())}, "language_model", {})
    # The builder declares float32 rows.
    shape: list[str | int | None] = ["batch", "sequence"]
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info(INPUT, TensorProto.INT64, shape))
    logits: list[str | int | None] = [*shape, network.shape.vocabulary]
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, logits))
    check(model)
    return model


def choose_strategies(network: LanguageModel, tokens: Tensor, tune_for: Sequence[int] = _TIMED_ROWS) -> Strategies:
    """For each layer of each KAN the fastest strategy that is within 3e-5 of the range of its answers.

    Args:
        network: The network.
        tokens: ``[batch, sequence]``, of the text; the KANs are compared on the rows that come of them.
        tune_for: Numbers of rows to time; none: the first strategy that is exact enough.

    Raises:
        LoweringError: no strategy is exact enough.
    """
    found: list[list[Strategy]] = []
    by_name = {strategy.name: strategy for strategy in STRATEGIES}
    with torch.no_grad():
        x = network.characters(tokens) + network.positions[: tokens.shape[1]]
        for block in network.blocks:
            assert isinstance(block, Block)
            found.append([])
            if isinstance(block.mixer, KAN):
                read = block.mixer_norm(x + block.attention(block.attention_norm(x))).flatten(0, 1)
                report = lower(block.mixer, training_rows=read.numpy(), tune_for=tune_for, tolerance=_TOLERANCE).report
                found[-1] = [by_name[layer.strategy] for layer in report.layers]
            x = block(x)
    return found


class _Writer:
    """Writes the parts of a network; ``graph`` collects them."""

    def __init__(self, graph: GraphBuilder, network: LanguageModel) -> None:
        self.graph, self.network = graph, network
        self._shape = graph.op("Shape", [INPUT], "shape")
        self._length = graph.op("Slice", [self._shape, *self._integers([1], [2])], "length")

    def embed(self) -> str:
        """Rows of the characters and their positions."""
        graph, width = self.graph, self.network.shape.width
        characters = graph.floats(_values(self.network.characters.weight), "characters")
        vectors = graph.op("Gather", [characters, INPUT], "vectors", axis=0)
        every = graph.floats(_values(self.network.positions), "every_position")
        positions = graph.op("Slice", [every, *self._integers([0]), self._length, *self._integers([0])], "positions")
        placed = graph.op("Add", [vectors, positions], "placed")
        return graph.op("Reshape", [placed, *self._integers([-1, width])], "rows")

    def block(self, name: str, block: Block, rows: str, strategies: Sequence[Strategy]) -> str:
        """Rows behind a block."""
        self.graph.scope = name
        answers = self._attention(block.attention, self._norm(block.attention_norm, rows))
        rows = self.graph.op("Add", [rows, answers], "attended")
        mixed = self._norm(block.mixer_norm, rows)
        if isinstance(block.mixer, KAN):
            for index, (layer, strategy) in enumerate(zip(block.mixer.layers, strategies, strict=True)):
                self.graph.scope = f"{name}/layer{index}"
                mixed = emit_layer(self.graph, layer, mixed, strategy, "float32", np.zeros(layer.outputs))
            self.graph.scope = name
        else:
            mixed = self._mlp(block.mixer, mixed)
        return self.graph.op("Add", [rows, mixed], "mixed")

    def answer(self, rows: str) -> str:
        """Logits ``[batch, sequence, vocabulary]``."""
        self.graph.scope = ""
        logits = self._linear(self.network.logits, self._norm(self.network.norm, rows))
        return self._reshape(logits, [self.network.shape.vocabulary])

    def _attention(self, attention: Attention, rows: str) -> str:
        graph, width, heads = self.graph, self.network.shape.width, attention.heads
        # Scaled queries give scaled scores.
        factors = torch.ones(3 * width, dtype=torch.float64)
        factors[:width] = 1 / math.sqrt(width // heads)
        parts = self._reshape(self._linear(attention.reads, rows, factors), [3, heads, width // heads])
        parts = graph.op("Transpose", [parts], "by_head", perm=[2, 0, 3, 1, 4])
        one_each = graph.integers([1, 1, 1], "one_each")
        queries, keys, values = graph.split(parts, one_each, ("queries", "keys", "values"))
        scores = graph.op("MatMul", [queries, graph.op("Transpose", [keys], "turned", perm=[0, 1, 2, 4, 3])], "scores")
        masked = graph.op("Add", [scores, self._mask()], "masked")
        read = graph.op("MatMul", [graph.op("Softmax", [masked], "attention", axis=-1), values], "read")
        by_token = graph.op("Transpose", [read], "by_token", perm=[1, 3, 2, 4, 0])
        return self._linear(attention.answers, graph.op("Reshape", [by_token, *self._integers([-1, width])], "heads"))

    def _mask(self) -> str:
        """``[sequence, sequence]``: 0 for the token itself and those before it, -∞ for later ones."""
        graph, context = self.graph, self.network.shape.context
        every = graph.floats(np.triu(np.full((context, context), -np.inf), 1), "every_mask")
        lengths = graph.op("Concat", [self._length, self._length], "lengths", axis=0)
        return graph.op("Slice", [every, *self._integers([0, 0]), lengths], "mask")

    def _mlp(self, mlp: nn.Module, rows: str) -> str:
        assert isinstance(mlp, nn.Sequential)
        for module in mlp:
            if isinstance(module, nn.Linear):
                rows = self._linear(module, rows)
            else:
                rows = self.graph.op("Mul", [rows, self.graph.op("Sigmoid", [rows], "gate")], "silu")
        return rows

    def _linear(self, linear: nn.Linear, rows: str, factors: Tensor | None = None) -> str:
        weight, bias = linear.weight.detach().double(), linear.bias.detach().double()
        if factors is not None:
            weight, bias = weight * factors.unsqueeze(1), bias * factors
        constants = [self.graph.floats(weight.T.numpy(), "weight"), self.graph.floats(bias.numpy(), "bias")]
        return self.graph.op("Gemm", [rows, *constants], "linear")

    def _norm(self, norm: nn.LayerNorm, rows: str) -> str:
        constants = [
            self.graph.floats(_values(each), name) for each, name in ((norm.weight, "gain"), (norm.bias, "shift"))
        ]
        return self.graph.op("LayerNormalization", [rows, *constants], "normed", axis=-1, epsilon=norm.eps)

    def _reshape(self, rows: str, sizes: Sequence[int]) -> str:
        """Rows as ``[batch, sequence, *sizes]``."""
        shape = self.graph.op("Concat", [self._shape, *self._integers(sizes)], "shape_of_tokens", axis=0)
        return self.graph.op("Reshape", [rows, shape], "tokens_in_order")

    def _integers(self, *values: Sequence[int]) -> list[str]:
        return [self.graph.integers(each, "integers") for each in values]


def _values(tensor: Tensor) -> object:
    return tensor.detach().numpy()
