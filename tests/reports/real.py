"""Real output of SageMaker's profiler. The tests that need it are skipped if it is not beside the project."""

import pytest

from tests.conftest import SHARED

REAL = SHARED / "profiler"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="needs the real profiler output beside the project")
REPORTS = sorted(REAL.glob("r*")) if REAL.is_dir() else []
