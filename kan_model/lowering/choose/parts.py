"""Try a layer in parts, where its edges form blocks: the fastest strategies, each with several numbers of parts."""

from collections.abc import Sequence

from kan_model.lowering.choose.search import Option, Search, mark_within, most_exact, time_options
from kan_model.lowering.strategies.in_blocks import InBlocks, part_counts

# The strategies that are tried in parts. In no measurement was another one fastest in parts (docs/numerics.md).
_FASTEST = 3


def time_parts(
    search: Search, index: int, layers: Sequence[Sequence[Option]], tolerance: float, tune_for: Sequence[int]
) -> list[Option]:
    """The options of layer ``index``, those in parts among them.

    Args:
        search: Computes errors of the network.
        index: Index of the layer.
        layers: The timed options of all layers, the fastest first.
        tolerance: Bound on the error.
        tune_for: Numbers of rows.

    Returns:
        Options within the error bound first, the fastest of them first. Those in parts and the three fastest others are
        timed side by side.
    """
    options, counts = list(layers[index]), part_counts(search.layers[index])
    fastest = [option.strategy for option in options if option.is_within][:_FASTEST]
    strategies = [InBlocks(strategy, count) for strategy in fastest for count in counts]
    if not strategies:
        return options
    others = [most_exact(each).strategy for each in layers]
    tried = [
        Option(each, search.candidate([*others[:index], each, *others[index + 1 :]], index)) for each in strategies
    ]
    marked = mark_within([*options, *tried], tolerance, search.precision)
    raced = {strategy.name for strategy in (*fastest, *strategies)}
    timed = time_options(search, index, [each for each in marked if each.strategy.name in raced], tune_for)
    rest = [each for each in marked if each.strategy.name not in raced]
    return sorted([*timed, *rest], key=lambda option: not option.is_within)
