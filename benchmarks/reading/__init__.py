"""What it costs to read and encode a large table: the quick way, and by the csv module, which reads all other files."""
