"""Program 2, serving: photos come in over HTTP, labels go out. The front has the public port; multi-model-server is behind it."""
