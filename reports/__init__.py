"""Reports on a job: records in (reports.sources), verdicts (reports.rules), one page and one JSON file out (reports.page).

The folder imports neither `train` nor `serve` nor `launch`, and of `classifier` only what imports no torch.
"""
