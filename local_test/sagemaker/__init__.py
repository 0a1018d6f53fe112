"""A local SageMaker: it answers SageMaker's API on this machine and really runs the jobs.

`byoc emulate` starts it; docs/emulator.md describes it.
"""
