"""Keeps photos in a local file if they come through a pipe, or from a mount where each file costs a request."""
