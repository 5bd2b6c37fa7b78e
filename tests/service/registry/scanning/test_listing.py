"""What a scan found, and what is new in it."""

from service.registry.scanning.listing import Listing
from service.settings.version_policy import VersionPolicy

_REMEMBERED_SECONDS = 60.0


def test_a_scan_that_finds_the_same_changes_nothing() -> None:
    """The first scan changes every model; an equal one none, and none of its versions is new."""
    listing = Listing(_REMEMBERED_SECONDS, VersionPolicy())
    listing.update([("a", 1), ("b", 1), ("b", 2)], now=0.0)
    assert set(listing.take_changed()) == {"a", "b"}
    listing.update([("a", 1), ("b", 1), ("b", 2)], now=1.0)
    assert not listing.take_changed()
    assert listing.names == {"a", "b"}
    assert not listing.is_new("b", 2)


def test_versions_that_come_and_go_change_their_models_alone() -> None:
    """A new version is new, a removed model has no versions, and the others are left alone."""
    listing = Listing(_REMEMBERED_SECONDS, VersionPolicy())
    listing.update([("a", 1), ("b", 1), ("c", 1)], now=0.0)
    listing.take_changed()
    listing.update([("b", 1), ("b", 2), ("c", 1)], now=1.0)
    assert set(listing.take_changed()) == {"b"}
    assert (listing.of("a"), listing.of("b"), listing.of("c")) == ((), [1, 2], [1])
    assert listing.is_new("b", 2)
    assert not listing.is_new("b", 1)


def test_a_new_version_is_so_for_a_time_also_if_nothing_else_changes() -> None:
    """Equal scans end it, as others do."""
    listing = Listing(_REMEMBERED_SECONDS, VersionPolicy())
    listing.update([("a", 1)], now=0.0)
    listing.update([("a", 1), ("a", 2)], now=1.0)
    listing.update([("a", 1), ("a", 2)], now=_REMEMBERED_SECONDS)
    assert listing.is_new("a", 2)
    listing.update([("a", 1), ("a", 2)], now=1.0 + _REMEMBERED_SECONDS)
    assert not listing.is_new("a", 2)


def test_nothing_is_new_for_no_time() -> None:
    """With 0 seconds a version that a scan has just found does not count as new."""
    listing = Listing(0.0, VersionPolicy())
    listing.update([("a", 1)], now=0.0)
    listing.update([("a", 1), ("a", 2)], now=1.0)
    assert not listing.is_new("a", 2)
