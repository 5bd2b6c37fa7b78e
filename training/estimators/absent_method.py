"""A method that the other estimator has, and this one has not."""

from typing import NoReturn


def absent_method(words: str) -> property:
    """An attribute that is not there, as `hasattr` sees it; who asks for it is told of the one that is.

    Args:
        words: What the AttributeError says; ``{name}`` in it is the name of the estimator.
    """

    def ask(estimator: object) -> NoReturn:
        raise AttributeError(words.format(name=type(estimator).__name__))

    return property(ask, doc="Not there: asking for it raises AttributeError.")
