"""Makes reports on a job: reports.sources reads records, reports.rules judges them, reports.page writes one HTML and one JSON file.

This package never imports `train`, `serve` or `launch`. From `classifier` it imports only modules that do not import torch.
"""
