"""A caller's rows as the float matrix that a model takes.

`rows` reads dicts, lists and tables by the manifest's columns; `words`, `other_words` and `dates` write the cells of a
column of words or dates as numbers. Example: with the words "", "Bonn" and "Ulm" of a column the cell "Ulm" becomes
[0, 0, 1].
"""
