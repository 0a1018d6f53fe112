"""GET /_local/: what runs here, as a page for a person and as JSON for a program."""
