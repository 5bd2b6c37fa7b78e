"""The shape of a network as people read it."""

from kan_api.network_text import image_text, levels_text, monotone_text, network_text, sets_text, size_text
from kan_api.v1.manifest_pb2 import Calibration, ClassSets, Convolution, Feature, Level, ModelManifest, Network


def test_products_are_written_as_pykan_writes_them() -> None:
    """A level is its number of nodes, or a pair; the arity is named unless it is 2, several ones all."""
    plain = [Level(adding=6), Level(multiplying=1, sums=2, arities=[2]), Level(adding=1, sums=1)]
    assert levels_text(Network(width=[6, 1, 1], levels=plain)) == "[6, [0, 1], 1]"
    three = [Level(adding=4), Level(adding=1, multiplying=2, sums=7, arities=[3]), Level(adding=1, sums=1)]
    assert levels_text(Network(levels=three)) == "[4, [1, 2], 1], arity 3"
    mixed = [*three, Level(multiplying=1, sums=2, arities=[2])]
    assert levels_text(Network(levels=mixed)) == "[4, [1, 2], 1, [0, 1]], arity 2 and 3"


def test_an_older_manifest_has_widths_only() -> None:
    """Without levels all nodes add."""
    manifest = ModelManifest(network=Network(width=[26, 16, 1], parameters=5520, functions=432))
    assert network_text(manifest) == "[26, 16, 1]"
    assert size_text(manifest.network) == "5,520 parameters"


def test_convolutions_come_before_the_flat_network() -> None:
    """The image, each convolution with what it makes, then the levels; functions are counted, as they are shared."""
    pooled = Convolution(
        channels=8, height=4, width=4, kernel=3, stride=1, padding=1, groups=1, pool="average", pool_size=2
    )
    strided = Convolution(
        channels=4, height=2, width=2, kernel=3, stride=2, padding=1, groups=2, pool="none", pool_size=1
    )
    levels = [Level(adding=16), Level(adding=10, sums=10)]
    network = Network(
        width=[64, 128, 16, 10], convolutions=[pooled, strided], levels=levels, parameters=2000, functions=376
    )
    manifest = ModelManifest(network=network, image_shape=[1, 8, 8])
    assert network_text(manifest) == (
        "image 1 × 8 × 8, convolutions 8 × 4 × 4 (kernel 3, stride 1, padding 1, average of 2 × 2), "
        "4 × 2 × 2 (kernel 3, stride 2, padding 1, groups 2), then [16, 10]"
    )
    assert size_text(network) == "2,000 parameters, 376 learned functions"
    assert image_text(manifest) == "1 × 8 × 8"


def test_a_promise_names_what_moves() -> None:
    """The answer, each of several, or the probability of the second class; nothing is said of other features."""
    up, down = Feature(name="age", monotone="up"), Feature(name="price", monotone="down")
    assert monotone_text(ModelManifest(target="y"), up) == "the answer never falls as it grows"
    assert monotone_text(ModelManifest(targets=["y", "z"]), down) == "each answer never rises as it grows"
    classes = ModelManifest(classes=["no", "yes"])
    assert monotone_text(classes, down) == 'the probability of "yes" never rises as it grows'
    assert monotone_text(classes, Feature(name="rooms")) == ""


def test_sets_of_classes_tell_what_was_asked_and_found() -> None:
    """On which rows, and after a refit by which threshold; nothing is found where no rows judged."""
    manifest = ModelManifest(calibration=Calibration(sets=ClassSets(coverage=0.9)))
    sets = manifest.calibration.sets
    assert sets_text(manifest) == "all classes; 90 % asked for"
    sets.threshold, sets.judged_by, sets.judged_rows = 0.21, "folds", 1200
    sets.judged_coverage, sets.judged_size = 0.8975, 1.25
    which = "the most probable class and each with a probability of at least 0.21; 90 % asked for"
    assert sets_text(manifest) == (
        f"{which}, the true class in 89.8 % of the sets of 1,200 rows, by thresholds from other rows, 1.25 classes on "
        "average"
    )
    sets.judged_by = "test"
    tested = f"{which}, the true class in 89.8 % of the sets of 1,200 test rows, 1.25 classes on average"
    assert sets_text(manifest) == tested
    manifest.data.refit = True
    assert sets_text(manifest) == f"{tested}; both of the fit before the refit, by its own threshold"
