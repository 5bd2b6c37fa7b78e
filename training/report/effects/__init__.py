"""The effects of the columns in a report: how the answer changes with each, the strongest first.

`shown_columns` makes columns of features, `computed` their effects, `drawn` the pictures, and `section` the HTML.
Of a network of one layer `curves` shows the curves themselves, which `curve_pictures` draws: they are the whole model.
"""
