"""Photos that come from afar and are kept in a local file: through a pipe, or from a mount where each file is a request."""
