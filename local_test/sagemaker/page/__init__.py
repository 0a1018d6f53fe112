"""GET /_local/: shows what runs here, as a page for a person and as JSON for a program."""
