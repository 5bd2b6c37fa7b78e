"""What differs between two settings, and what of it needs a restart."""

from service.settings import FLAGS, ModelTable, Settings
from service.settings.changes import LIVE, changes


def test_each_difference_is_told() -> None:
    """Settings and keys of tables by name, with both values; a table that goes away counts too."""
    before = Settings(max_batch_rows=8, tables={"a": ModelTable(priority=1, versions="3")})
    after = Settings(grpc_port=1, tables={"a": ModelTable(priority=2, versions="3"), "b": ModelTable(provider="cpu")})
    assert [str(each) for each in changes(before, after)] == [
        "grpc_port from 8001 to 1",
        "max_batch_rows from 8 to 512",
        "[models.a] priority from 1 to 2",
        "[models.b] provider from none to cpu",
    ]
    assert [each.is_live for each in changes(before, after)] == [False, True, True, True]
    assert "[models.a] versions from 3 to none" in map(str, changes(before, Settings()))
    assert changes(before, before) == []


def test_what_is_live_is_a_setting() -> None:
    """Each name that may change while the server runs is a setting."""
    assert FLAGS.keys() > LIVE
