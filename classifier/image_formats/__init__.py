"""Additions to Pillow for each image format: limits on costly files, and repair of damaged metadata."""
