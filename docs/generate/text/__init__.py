"""Markdown as text, without any knowledge of this repository's files.

``markdown`` finds and replaces sections, and rewrites CommonMark for Python-Markdown. For example, the latter wants an
empty line between a paragraph and a list. ``tables`` writes tables and code, and says the limits of a setting in words.
"""
