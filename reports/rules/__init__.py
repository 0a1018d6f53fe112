"""Rules: pure functions from records to verdicts, under one of two named sets of thresholds (docs/reports.md lists them)."""
