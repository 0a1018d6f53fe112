"""The driver, command `byoc`: check data, tune, train, serve and predict. Imports neither torch nor the serving program."""
