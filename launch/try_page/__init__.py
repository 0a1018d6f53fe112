"""`byoc try`: the page gets its answers from a server on this machine (process) or from an endpoint (sagemaker)."""
