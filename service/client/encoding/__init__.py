"""A caller's rows as the float matrix that a model takes.

`rows` reads dicts, lists and tables (`table_rows`) by the manifest's columns; `number_cells`, `words`, `other_words`
and `dates` write the cells of one column as numbers. Example: with the words "", "Bonn" and "Ulm" of a column the cell
"Ulm" becomes [0, 0, 1].
"""
