"""The effects of the columns in a report: how the answer changes with each, the strongest first.

`shown_columns` makes columns of features, `computed` their effects, `drawn` the pictures, and `section` the HTML.
"""
