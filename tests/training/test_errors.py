"""The errors of kan-train and of the estimators."""

import importlib
import pickle
import pkgutil
from collections.abc import Callable, Iterator, Mapping

import pytest

import training
from kan_api.v1.manifest_pb2 import Feature, ModelManifest
from training.errors import TrainingError
from training.publishing.publish import CannotFollow


def _of_inputs(*names: str) -> ModelManifest:
    return ModelManifest(name="homes", version=1, features=[Feature(name=name) for name in names])


# Those whose arguments are not their text.
_MADE: Mapping[type[TrainingError], Callable[[], TrainingError]] = {
    CannotFollow: lambda: CannotFollow(_of_inputs("age", "rooms"), _of_inputs("age"), "it takes other inputs"),
}


def _below(kind: type[TrainingError]) -> Iterator[type[TrainingError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _below(each)


def _tree() -> list[type[TrainingError]]:
    """All classes of the tree: every module of training is imported, since a class is known once its module is."""
    for module in pkgutil.walk_packages(training.__path__, "training."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return list(dict.fromkeys(each for each in _below(TrainingError) if each.__module__.startswith("training.")))


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_every_error_comes_whole_out_of_another_process(protocol: int) -> None:
    """Pickled, as joblib's workers send it: the same class, text and attributes."""
    tree = _tree()
    assert {CannotFollow, TrainingError} < set(tree)
    assert len(tree) > 15
    for kind in tree:
        error = _MADE[kind]() if kind in _MADE else kind("what was wanted")
        again = pickle.loads(pickle.dumps(error, protocol))
        assert type(again) is kind
        assert str(again) == str(error)
        assert vars(again) == vars(error)
