"""The shape of a network, and what it promises, as people read it: in the terminal, report.html and kan-client."""

from kan_api.cells import quoted
from kan_api.v1.manifest_pb2 import Convolution, Feature, Intervals, ModelManifest, Network


def network_text(manifest: ModelManifest) -> str:
    """The shape in brackets, as a recipe or pykan writes it; of a network on images its convolutions before that.

    Examples:
        - [26, 16, 1]
        - [6, [0, 1], 1]: one node that multiplies two sums
        - [4, [1, 2], 1], arity 3
        - image 1 × 8 × 8, convolution 8 × 4 × 4 (kernel 3, stride 1, padding 1, average of 2 × 2), then [128, 10]
    """
    network = manifest.network
    flat = levels_text(network)
    if not network.convolutions:
        return flat
    convolutions = ", ".join(map(_convolution_text, network.convolutions))
    kind = "convolution" if len(network.convolutions) == 1 else "convolutions"
    image = f"image {image_text(manifest)}, " if manifest.image_shape else ""
    return f"{image}{kind} {convolutions}, then {flat}"


def size_text(network: Network) -> str:
    """How much there is to learn: "5,520 parameters"; of convolutions, whose functions are shared, these too."""
    shared = f", {network.functions:,} learned functions" if network.convolutions else ""
    return f"{network.parameters:,} parameters{shared}"


def image_text(manifest: ModelManifest) -> str:
    """Channels, height and width: "1 × 8 × 8"; empty if the model is not of images."""
    return " × ".join(map(str, manifest.image_shape))


def monotone_text(manifest: ModelManifest, feature: Feature) -> str:
    """What is promised of a feature: "the answer never falls as it grows"; empty if nothing is."""
    if not feature.monotone:
        return ""
    answer = "each answer" if manifest.targets else "the answer"
    subject = f"the probability of {quoted(manifest.classes[1])}" if manifest.classes else answer
    return f"{subject} never {'falls' if feature.monotone == 'up' else 'rises'} as it grows"


def sets_text(manifest: ModelManifest) -> str:
    """Which classes are in the sets of a manifest that has some, and how often the true one is."""
    sets, is_tested = manifest.calibration.sets, manifest.calibration.sets.judged_by == "test"
    which = f"the most probable class and each with a probability of at least {sets.threshold:.4g}"
    text = f"{which if sets.threshold else 'all classes'}; {100 * sets.coverage:g} % asked for"
    if not sets.judged_rows:
        return text
    rows = f"{sets.judged_rows:,} {'test rows' if is_tested else 'rows, by thresholds from other rows'}"
    before = "; both of the fit before the refit, by its own threshold" if is_tested and manifest.data.refit else ""
    found = f"the true class in {100 * sets.judged_coverage:.1f} % of the sets of {rows}"
    return f"{text}, {found}, {sets.judged_size:.3g} classes on average{before}"


def quantile_pair_text(intervals: Intervals, output: int) -> str:
    """What boosted trees made of the rows that judged the intervals of an output; empty if that is not told."""
    if not intervals.HasField("quantile_pair"):
        return ""
    pair = intervals.quantile_pair
    if output >= min(map(len, (pair.judged_coverage, pair.judged_width, pair.equal_width, pair.intervals_equal_width))):
        return ""
    share, width = 100 * pair.judged_coverage[output], pair.judged_width[output]
    ours, theirs = pair.intervals_equal_width[output], pair.equal_width[output]
    found = f"{share:.1f} % of the same rows, {width:.4g} apart"
    return f"{found}; at equal coverage {theirs:.4g} apart, the intervals {ours:.4g}"


def pooling_text(convolution: Convolution) -> str:
    """What follows a convolution: "none" or "average of 2 × 2"."""
    size = convolution.pool_size
    return convolution.pool if convolution.pool == "none" else f"{convolution.pool} of {size} × {size}"


def levels_text(network: Network) -> str:
    """The flat network, of images the one behind the convolutions: "[6, [0, 1], 1]"."""
    if not network.levels:
        return f"[{', '.join(map(str, network.width))}]"
    shape = ", ".join(
        f"[{level.adding}, {level.multiplying}]" if level.multiplying else str(level.adding) for level in network.levels
    )
    arities = sorted({arity for level in network.levels for arity in level.arities})
    # pykan's usual arity goes without saying.
    named = "" if arities in ([], [2]) else f", arity {' and '.join(map(str, arities))}"
    return f"[{shape}]{named}"


def _convolution_text(convolution: Convolution) -> str:
    """The image that it makes, and the numbers of the convolution."""
    parts = [f"kernel {convolution.kernel}", f"stride {convolution.stride}", f"padding {convolution.padding}"]
    if convolution.groups > 1:
        parts.append(f"groups {convolution.groups}")
    if convolution.pool != "none":
        parts.append(pooling_text(convolution))
    return f"{convolution.channels} × {convolution.height} × {convolution.width} ({', '.join(parts)})"
