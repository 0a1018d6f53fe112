#!/opt/venv/bin/python
"""The program `serve` of the toolkit's README: it runs the stock handler on multi-model-server."""

from sagemaker_inference import model_server

model_server.start_model_server()
