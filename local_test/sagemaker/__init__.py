"""A local SageMaker: it answers SageMaker's API on this machine and really runs the jobs.

`byoc emulate` starts it; docs/emulator.md describes it. Comments name the sources of rules by the marks that docs/emulator.md
explains in "Where the rules come from", for instance `C 3.1` for a section of the container contract, and `API` for botocore's model.
"""
