"""What draws: it writes docs/pictures/diagrams. ``svg`` has the boxes, lines and words that a drawing consists of.

``diagrams.py`` writes the SVG files: the two ways of docs/architecture.md (``ways``) and the layout of each dashboard
(``dashboards``). ``make check`` holds them in step. ``pictures.py`` writes the two PNG files. It trains for them and
needs chromium, so it runs by hand.
"""
