"""Pages of facts, each made from the source of its facts: code, .proto files, or alert rules.

A file makes one page (``page()``) or the pages of one kind (``pages()``), as Markdown. The facts come from the program
itself, so a page cannot disagree with it. To add a page, add a file here, its place in ``docs/generate/pages.py``, and
its line in mkdocs.yml.
"""
