"""The text: the topics of Python's own help, as characters."""

import pydoc_data.topics
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

_PIECE_CHARACTERS = 4000
# Of ten pieces in a row, the places of the one that validates and the one that tests.
_VALIDATION, _TEST = 4, 9


@dataclass(frozen=True)
class Text:
    """A text in three parts. A token is the place of a character in the vocabulary.

    Attributes:
        vocabulary: Every character of the text once, sorted.
        train: Tokens, int64.
        validation: Tokens that chose learning rates.
        test: Tokens that no choice has seen.
    """

    vocabulary: str
    train: Tensor
    validation: Tensor
    test: Tensor


def read_text() -> Text:
    """``pydoc_data.topics``: its paragraphs in the order of the topics' names, each once.

    Topics repeat each other's paragraphs. A repeated paragraph could lie in the training part and the test part.
    """
    text = "\n\n".join(_paragraphs())
    vocabulary = "".join(sorted(set(text)))
    places = {character: place for place, character in enumerate(vocabulary)}
    tokens = torch.tensor([places[character] for character in text])
    parts: dict[str, list[Tensor]] = {"train": [], "validation": [], "test": []}
    for number, piece in enumerate(torch.split(tokens, _PIECE_CHARACTERS)):
        name = {_VALIDATION: "validation", _TEST: "test"}.get(number % 10, "train")
        parts[name].append(piece)
    return Text(vocabulary, **{name: torch.cat(pieces) for name, pieces in parts.items()})


def _paragraphs() -> Iterator[str]:
    seen = set()
    for _, topic in sorted(pydoc_data.topics.topics.items()):
        for paragraph in topic.split("\n\n"):
            words = paragraph.strip()
            if words and words not in seen:
                seen.add(words)
                yield paragraph.strip("\n")
