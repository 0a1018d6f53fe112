"""Small errors put into the product, one at a time, to see whether a test notices: make mutation.

cosmic-ray makes them. It changes the file on disk, so the processes that a test starts run the error too; mutmut switches errors
on inside the process that it forked, which training, the server and its workers would not see.
"""
