"""Text that a language model writes, character by character, by its ONNX graph."""

import numpy as np
import onnx

from benchmarks.common.sessions import open_session
from benchmarks.paper.language.graph import INPUT


def sample(
    model: onnx.ModelProto, vocabulary: str, context: int, prompt: str, characters: int, temperature: float, seed: int
) -> str:
    """The prompt and what follows it.

    Args:
        model: The graph.
        vocabulary: The characters of the tokens.
        context: The most tokens of a sequence; further ones before are not read.
        prompt: At least one character.
        characters: How many are written.
        temperature: The logits are divided by it; less than 1 prefers likely characters.
        seed: Of the draws.
    """
    session, draws = open_session(model.SerializeToString()), np.random.default_rng(seed)
    tokens = [vocabulary.index(character) for character in prompt]
    for _ in range(characters):
        (logits,) = session.run(None, {INPUT: np.array([tokens[-context:]], dtype=np.int64)})
        last = logits[0, -1].astype(np.float64) / temperature
        shares = np.exp(last - last.max())
        tokens.append(int(draws.choice(len(vocabulary), p=shares / shares.sum())))
    return "".join(vocabulary[token] for token in tokens)
