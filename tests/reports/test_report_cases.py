"""The right verdicts and no others on records made for it, and the tables of docs/reports.md."""

from pathlib import Path

import pytest

from reports.report import make
from reports.rules.__main__ import table as rules_table
from tests.conftest import ROOT
from tests.reports import cases

DOCS = (ROOT / "docs" / "reports.md").read_text()


@pytest.mark.parametrize("name", cases.CASES)
def test_made_records_get_the_right_verdicts_and_no_others(name: str, tmp_path: Path) -> None:
    folder, rules = cases.CASES[name]
    found = {one.rule: one.ours.sentence for one in make(folder(tmp_path)).judged if one.ours.state == "triggered"}
    assert set(found) == set(rules), found


@pytest.mark.parametrize(("mark", "text"), [("rules", rules_table()), ("cases", cases.table())])
def test_the_tables_of_the_docs_are_those_of_the_code(mark: str, text: str) -> None:
    inside = DOCS.partition(f"<!-- {mark} -->\n")[2].partition(f"<!-- /{mark} -->")[0]
    assert inside.strip() == text
