"""A local SageMaker: the API on this machine, and the jobs really run. `byoc emulate` starts it; docs/emulator.md describes it."""
