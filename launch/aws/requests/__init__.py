"""The requests of the API, one module for each kind, as plain data made of the specification."""
