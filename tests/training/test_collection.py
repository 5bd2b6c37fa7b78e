import subprocess
import sys

_HEAD = "import gc, sys\nfrom training.collection import objects_for_good\n"


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", _HEAD + code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_what_is_imported_is_kept_from_the_collector() -> None:
    """The collector is off inside the block, on again after it, also after an error, and no longer sees the objects."""
    code = """
try:
    with objects_for_good():
        kept = [[] for _ in range(1000)]
        inside = gc.isenabled()
        raise ImportError
except ImportError:
    pass
print(inside, gc.isenabled(), gc.get_freeze_count() > 1000, any(each is kept for each in gc.get_objects()))
"""
    assert _run(code) == "False True True False"


def test_a_process_that_lives_on_keeps_its_collector() -> None:
    """Where torch was imported before, the block changes nothing."""
    code = """
sys.modules["torch"] = sys
with objects_for_good():
    inside = gc.isenabled()
print(inside, gc.get_freeze_count())
"""
    before, frozen = _run(code).split()
    assert before == "True"
    assert frozen == "0"
