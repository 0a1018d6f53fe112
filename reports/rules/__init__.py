"""The rules: pure functions that judge records under one of two named sets of thresholds (docs/reports.md lists the rules)."""
