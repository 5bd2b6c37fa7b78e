"""What TLS and tokens cost a server, and whether calls fail while certificates and tokens are renewed."""
