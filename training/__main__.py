"""``python -m training`` is kan-train."""

import sys

from training.cli import main

sys.exit(main())
