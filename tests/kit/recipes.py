"""Recipes that tests begin with."""

# Learns the numbers of a column y from a column a. It ends in [task]: keys of that table, or sections, may follow.
OF_ONE_COLUMN = """
[model]
name = "m"
[data]
path = "t.csv"
target = "y"
columns = ["a"]
[task]
kind = "regression"
"""
