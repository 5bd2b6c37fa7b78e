"""The old name of ``python -m benchmarks.serving.server_shapes``."""

import warnings

from benchmarks.serving.server_shapes import main

if __name__ == "__main__":
    warnings.warn("benchmarks.server_shapes is benchmarks.serving.server_shapes now", DeprecationWarning, stacklevel=1)
    main()
