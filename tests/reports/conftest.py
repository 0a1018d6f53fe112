"""Reports are made on the host: no image holds their code."""

from tests.places import INSIDE

collect_ignore_glob = ["test_*.py"] if INSIDE else []
