"""kan-train and kan-serve take the same folders for versions."""

from pathlib import Path

import pytest

from kan_api.version_folder import MAX_VERSION, version_number
from service.repository.disk import list_models
from training.publishing.repository import published_versions

_NUMBERS = ["1", "20", "999999999999999999"]
# An Arabic 3, 2^62, and others that Python reads as numbers.
_OTHERS = [
    "0",
    "-1",
    "01",
    "+1",
    "1_0",
    " 1",
    "1\n",
    "1.5",
    "x",
    "٣",
    "²",
    "1000000000000000000",
    "4611686018427387904",
]


@pytest.mark.parametrize("name", _NUMBERS)
def test_a_number_of_at_most_18_digits_is_a_version(name: str) -> None:
    """The largest is MAX_VERSION."""
    number = version_number(name)
    assert number is not None
    assert (str(number), number <= MAX_VERSION) == (name, True)


@pytest.mark.parametrize("name", _OTHERS)
def test_other_names_are_no_versions(name: str) -> None:
    """Neither leading zeros nor signs, spaces, other digits or more of them."""
    assert version_number(name) is None


def test_training_and_service_see_the_same_versions(tmp_path: Path) -> None:
    """A version that kan-train counts is one that kan-serve looks at, and the other way round."""
    for name in (*_NUMBERS, *_OTHERS):
        (tmp_path / "flowers" / name).mkdir(parents=True)
    (tmp_path / "flowers" / "2").write_text("a file")
    served = [version for _, version in list_models(tmp_path)]
    assert served == published_versions(tmp_path / "flowers") == [1, 20, MAX_VERSION]
