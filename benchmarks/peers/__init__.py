"""What the compared servers run: as their documentation shows, and with our decode and model."""
