"""A file as blocks of rows: CSV or JSON lines, read lazily.

`row_file` above chooses the format. `csv_file` knows headers and separators, over `csv_records`, which knows quotes;
`json_lines` knows objects; both read `text_lines`. A row that cannot be read stays in its `file_block`, with its fault
beside it, so that the rows after it keep their numbers.
"""
