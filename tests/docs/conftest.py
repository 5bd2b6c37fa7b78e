"""These tests import what makes the site: they are collected only where [docs] is installed, as by `make docs`."""

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("mkdocs") else ["test_*.py"]
