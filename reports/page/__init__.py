"""Writes the facts and verdicts of a report as one self-contained HTML page, and as a JSON file with the same facts."""
