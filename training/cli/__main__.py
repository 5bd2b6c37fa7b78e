"""``python -m training.cli`` is kan-train."""

import sys

from training.cli import main

sys.exit(main())
