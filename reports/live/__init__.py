"""A report that is renewed while a run goes on: a loopback server of the page, and samples of a server's /metrics."""
