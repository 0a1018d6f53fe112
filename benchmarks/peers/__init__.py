"""The programs of the compared servers: as their documentation shows them, or with our decoding and model."""
