"""The garbage collector during imports."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def objects_for_good() -> Iterator[None]:
    """Make objects inside the `with` block that the garbage collector never looks at, neither now nor later.

    Torch, scikit-learn, pandas and matplotlib make a million objects that live to the end. The collector, which looks
    through all objects again and again, took a tenth of a short run. Where torch is there already, all stays as it is:
    such a process lives on, and its garbage would too.
    """
    if "torch" in sys.modules:
        yield
        return
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
