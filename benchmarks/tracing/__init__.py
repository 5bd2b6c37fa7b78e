"""What traces cost a server: processor time of a request with them, over that without."""
