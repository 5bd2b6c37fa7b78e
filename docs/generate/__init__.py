"""What makes the documentation site and its drawings. mkdocs calls ``hooks.py``; ``pages.py`` lists every made page.

``reference`` has a file a page of facts. ``sources`` reads the repository's files, and ``text`` is Markdown itself.
``drawings`` writes docs/pictures/diagrams, and ``theme`` is what the site changes in Material for MkDocs.
``outside.py`` reads the built site and refuses what a browser would load from elsewhere.
"""
