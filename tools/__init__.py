"""What the Makefile calls: set-up, notebooks, vendored JavaScript, the repository's address."""
