"""`byoc try`: who answers the photos of the page, a server on this machine (process) or an endpoint (sagemaker)."""
