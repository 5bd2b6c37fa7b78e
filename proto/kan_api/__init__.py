"""Our own protocol and the manifest of a version (`v1`), and the rules that training and the service share."""
