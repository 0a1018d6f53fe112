"""The programs behind the figures of docs/benchmarks.md. Each runs alone, as `python -m benchmarks.NAME`; see --help.

A program has parts. A part is a function that takes the options of the command line and yields figures (see parts.py). To add
one, write the function and name it in the program's PARTS; what it measures then stands in results/NAME.json.
"""
