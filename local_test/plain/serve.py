#!/opt/venv/bin/python
"""`serve`, as the toolkit's README starts it: the stock handler on multi-model-server."""

from sagemaker_inference import model_server

model_server.start_model_server()
