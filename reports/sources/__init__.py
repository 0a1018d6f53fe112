"""Reads the files of a run and of SageMaker's profiler into the frozen dataclasses of reports.facts and reports.system.

The modules trust no file: content that is damaged, or of an unknown version or kind, becomes a sentence in `missing`.
"""
