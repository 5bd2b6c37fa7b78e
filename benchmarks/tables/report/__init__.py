"""What was measured, compared over tables and written as Markdown.

`findings` gathers the cells by table, `compare` makes ranks and ratios with intervals, `bounds` judges them. `errors`,
`numbers`, `summary` and `notes` each write one part of the page; `page` puts them together.
"""
