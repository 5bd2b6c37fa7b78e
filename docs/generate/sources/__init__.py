"""What reads the repository's files for the site: Markdown files, alert rules, and docstrings.

``moved`` says which sections of a file are pages of their own, and ``links`` turns links between files into links
between pages. ``alerts`` reads deploy/prometheus/rules; runbooks and the navigation come from it.
``docstrings`` is an extension of mkdocstrings: it turns Sphinx's roles into code.
"""
