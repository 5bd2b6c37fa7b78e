"""The tests of the dashboards need the extra [deploy]. `make test` deselects them, and does not install it."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("grafana_foundation_sdk") else ["test_dashboards.py"]
