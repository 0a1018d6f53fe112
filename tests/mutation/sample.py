"""Which errors are tried: a random line of the product, then a random error on that line."""

import ast
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from cosmic_ray.commands.init import init
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec

# Swaps of "==" and "is": Python gives the same result on the values that the product compares, so no test could notice.
SAME = ("_Eq_Is", "_Is_Eq", "_NotEq_IsNot", "_IsNot_NotEq")
Position = tuple[int, int]  # line and column


def mutations(modules: Sequence[Path]) -> list[MutationSpec]:
    """Return every error that cosmic-ray can make in these files, except those in `left_out`."""
    with use_db(":memory:", WorkDB.Mode.create) as database:
        init(modules, database, {})
        found = [item.mutations[0] for item in database.work_items]
    untouched = {module: list(left_out(module)) for module in modules}
    return [
        one
        for one in found
        if not one.operator_name.endswith(SAME)
        and not any(start <= one.start_pos < end for start, end in untouched[one.module_path])
    ]


def left_out(module: Path) -> Iterator[tuple[Position, Position]]:
    """Yield where type annotations and the arguments of @dataclass begin and end; they do not affect how the program behaves."""
    for node in ast.walk(ast.parse(module.read_text())):
        found = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "dataclass":
            found += node.keywords
        for within in found:
            if within:
                yield (within.lineno, within.col_offset), (within.end_lineno or 0, within.end_col_offset or 0)


def sample(found: Sequence[MutationSpec], count: int, seed: int) -> list[MutationSpec]:
    """Choose `count` lines by chance and one error on each; the same seed chooses the same ones."""
    chance = random.Random(seed)
    lines: dict[tuple[str, int], list[MutationSpec]] = defaultdict(list)
    for one in found:
        lines[str(one.module_path), one.start_pos[0]].append(one)
    return [chance.choice(lines[line]) for line in chance.sample(sorted(lines), min(count, len(lines)))]
