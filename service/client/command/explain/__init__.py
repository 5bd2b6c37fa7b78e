"""`kan-client explain`: a line for each row of a file that says which columns made its answer.

    4.1 = 2.9 + 0.8 (rooms 7) + 0.6 (lstat 3.2) − 0.2 (rest)

The answer, then the answer to the reference row, then the contributions of the columns, the largest first.
"""
