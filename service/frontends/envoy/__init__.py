"""What Envoy is configured with, and what it tells the Python server: headers, and a socket to the parent process."""
