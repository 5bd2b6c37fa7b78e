"""kan-client: files of rows in, predictions out as a table, CSV or JSON lines."""
