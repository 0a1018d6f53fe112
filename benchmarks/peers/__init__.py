"""What the compared servers run: as their documentation shows, or with our decode and model."""
