"""The programs that measure the figures of docs/benchmarks.md. Each program runs alone: `python -m benchmarks.NAME` (see --help).

A program has parts. A part is a function that takes the options of the command line and yields figures (see parts.py). To add a
part, write the function and add it to the program's PARTS. Its figures are written to results/NAME.json.
"""
