"""What each image format needs beyond Pillow: limits on files that cost too much, and repair of damaged metadata."""
