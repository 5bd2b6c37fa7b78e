"""The methods that fit a table: ours by its commands, the peers with their defaults, each fit in its own process."""
