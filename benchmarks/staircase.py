"""The old name of ``python -m benchmarks.paper.staircase``."""

import warnings

from benchmarks.paper.staircase import main

if __name__ == "__main__":
    warnings.warn("benchmarks.staircase is benchmarks.paper.staircase now", DeprecationWarning, stacklevel=1)
    main()
