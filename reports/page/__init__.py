"""The page: facts and verdicts in, one self-contained HTML file and a JSON file with the same facts out."""
