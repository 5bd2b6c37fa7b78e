"""``python -m service.client`` is kan-client."""

import sys

from service.client.cli import main

sys.exit(main())
