"""Renews a report while a run goes on: a loopback server shows the page; a sampler asks a serving program for /metrics."""
