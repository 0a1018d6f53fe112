"""Selects the tests for an error:

those that ran its line when coverage was measured, the quickest first, and those that read the source.
"""

import ast
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from coverage import CoverageData

# The first group catches most errors, so it is short; the second group holds the other tests that ran the line.
FIRST_SECONDS = 30.0
SECOND_SECONDS = 200.0
LOOKS_AT_SOURCE = "tests/test_arrows.py::"


@dataclass(frozen=True)
class Group:
    """Tests that run together, and the seconds that they took when coverage was measured."""

    tests: tuple[str, ...]
    seconds: float


class Covered:
    """The results of tests/coverage.sh: the tests of each line of the product, and the seconds of each test."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._root = root
        self._data = CoverageData(str(folder / "data"))
        self._data.read()
        plain: dict[str, float] = json.loads((folder / ".venv.json").read_text())
        # The tests that need the packages of the training image.
        self.in_image: dict[str, float] = json.loads((folder / ".venv-train.json").read_text())
        self._seconds = plain | self.in_image

    def groups(self, module: Path, line: int) -> list[Group]:
        """Return the tests for a line: a quick group, and the others up to SECOND_SECONDS.

        A line outside functions runs when its file is first imported, so its tests are those of the whole file.
        """
        lines = self._data.contexts_by_lineno(str(self._root / module))
        names = set(lines.get(line, ())) if line in in_functions(self._root / module) else set().union(*lines.values())
        names |= {name for name in self._seconds if name.startswith(LOOKS_AT_SOURCE)}
        tests = sorted(names & self._seconds.keys(), key=lambda name: (self._seconds[name], name))
        first = self._up_to(FIRST_SECONDS, tests)
        second = self._up_to(SECOND_SECONDS, tests[len(first.tests) :])
        return [group for group in (first, second) if group.tests]

    def _up_to(self, seconds: float, tests: Iterable[str]) -> Group:
        taken: list[str] = []
        total = 0.0
        for name in tests:
            if taken and total + self._seconds[name] > seconds:
                break
            taken.append(name)
            total += self._seconds[name]
        return Group(tuple(taken), total)


def in_functions(module: Path) -> set[int]:
    """Return the lines of a file that belong to the body of a function."""
    return {
        line
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for line in range(node.body[0].lineno, (node.body[-1].end_lineno or 0) + 1)
    }
