"""What training minimizes: which loss, and its computation by torch."""
