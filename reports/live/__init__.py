"""Updates a report while a run goes on. A loopback server serves the page; a sampler fetches a model server's /metrics."""
