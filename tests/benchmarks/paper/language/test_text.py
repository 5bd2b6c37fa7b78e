"""The text and its parts."""

import torch

from benchmarks.paper.language.text import read_text


def test_parts_share_no_long_passage() -> None:
    """Of 200 characters, say; topics repeat whole sections of each other."""
    text = read_text()
    train, test = ("".join(text.vocabulary[token] for token in part.tolist()) for part in (text.train, text.test))
    assert not [start for start in range(0, len(test) - 200, 100) if test[start : start + 200] in train]


def test_it_is_english_of_a_good_length() -> None:
    """Every token is in the vocabulary, and each part has its share."""
    text = read_text()
    sizes = [len(part) for part in (text.train, text.validation, text.test)]
    assert sum(sizes) > 300_000
    assert min(sizes[1:]) >= 0.08 * sum(sizes)
    assert int(torch.cat([text.train, text.validation, text.test]).max()) == len(text.vocabulary) - 1
