"""`python -m serve`: serve one model on /ping and /invocations."""

import sys

from serve.serve import main

if __name__ == "__main__":
    sys.exit(main())
