"""Put errors into the product, one at a time, and print those that no test notices: python -m tests.mutation, or make mutation."""

import argparse
import queue
import time
from collections.abc import Container
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import attrs
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_item import MutationSpec, TestOutcome

from tests.mutation.copies import command, copy
from tests.mutation.sample import mutations, sample
from tests.mutation.selection import Covered, Group

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("classifier", "train", "serve", "launch")
FOLDER = ROOT / "runs" / "mutation"
WORKERS = 2


@dataclass(frozen=True)
class Result:
    """The result for one error; `tests` counts the tests that were run."""

    place: str
    caught: bool
    tests: int
    change: str


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="tests.mutation", description=__doc__)
    parser.add_argument("--count", type=int, default=60, help="how many errors (default 60)")
    parser.add_argument("--seed", type=int, default=1, help="which ones (default 1)")
    parser.add_argument("--module", type=Path, help="only in this file, as in train/loop/engine.py")
    arguments = parser.parse_args()
    if not (ROOT / "runs" / "coverage" / ".venv.json").exists():
        parser.error("runs/coverage is missing, and with it the tests of each line; run make coverage")
    modules = (
        [arguments.module] if arguments.module else [p for name in PACKAGES for p in sorted(Path(name).rglob("*.py"))]
    )
    chosen = sample(mutations(modules), arguments.count, arguments.seed)
    results = run(chosen)
    table = report(results)
    (FOLDER / "report.md").write_text(table)
    print(table)


def run(chosen: list[MutationSpec]) -> list[Result]:
    """Try the errors in WORKERS copies of the project at once, and print a line for each."""
    covered = Covered(ROOT / "runs" / "coverage", ROOT)
    copies: queue.Queue[Path] = queue.Queue()
    for number in range(WORKERS):
        folder = FOLDER / f"copy-{number}"
        copy(ROOT, folder)
        copies.put(folder)

    # The errors are chosen now, so that the project's files may change while the copies are tried.
    groups = [covered.groups(one.module_path, one.start_pos[0]) for one in chosen]

    def one(mutation: MutationSpec, tests: list[Group]) -> Result:
        folder = copies.get()
        try:
            return tried(mutation, folder, tests, covered.in_image)
        finally:
            copies.put(folder)

    start = time.monotonic()
    results = []
    with ThreadPoolExecutor(WORKERS) as pool:
        for future in as_completed([pool.submit(one, *pair) for pair in zip(chosen, groups, strict=True)]):
            results.append(future.result())
            last = results[-1]
            word = "caught" if last.caught else "NOT CAUGHT"
            spent = int(time.monotonic() - start)
            print(f"{len(results)}/{len(chosen)}, {spent} s: {word} {last.place} ({last.tests} tests)", flush=True)
    return results


def tried(mutation: MutationSpec, folder: Path, groups: list[Group], in_image: Container[str]) -> Result:
    """Make one error in a copy and run the groups of tests, until one fails.

    `in_image` holds the tests that need the packages of the training image.
    """
    here = attrs.evolve(mutation, module_path=folder / mutation.module_path)
    place = f"{mutation.module_path}:{mutation.start_pos[0]}"
    tests, change, caught = 0, "", False
    for group in groups:
        train = [name for name in group.tests if name in in_image]
        plain = [name for name in group.tests if name not in train]
        # The limit is far longer than the tests took, so that it stops a hanging test, but not a slow one.
        done = mutate_and_test([here], command(folder, plain, train), timeout=60 + 4 * group.seconds)
        tests += len(group.tests)
        change = "; ".join(
            line for line in (done.diff or "").splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")
        )
        if done.test_outcome is None:
            raise RuntimeError(f"{place}: {done.output}")
        if caught := done.test_outcome != TestOutcome.SURVIVED:
            break
    return Result(place, caught, tests, change)


def report(results: list[Result]) -> str:
    """Return the count of errors that were caught, and a table of the others."""
    missed = sorted((one for one in results if not one.caught), key=lambda one: one.place)
    share = 1 - len(missed) / len(results)
    lines = [f"{len(results) - len(missed)} of {len(results)} errors caught, {share:.0%}", ""]
    if missed:
        lines += ["| place | tests run | change |", "| --- | --- | --- |"]
        lines += [f"| {one.place} | {one.tests} | `{one.change.replace('|', chr(92) + '|')}` |" for one in missed]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
