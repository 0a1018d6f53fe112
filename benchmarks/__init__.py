"""Measurements that the README quotes; each program runs by itself, `python -m benchmarks.NAME`, and writes results/NAME.json."""
