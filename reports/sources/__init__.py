"""Sources: files of a run or of SageMaker's profiler in, frozen dataclasses of reports.facts and reports.system out.

Nothing in a file is trusted: what is damaged, of another version or of another kind becomes a sentence in `missing`.
"""
