"""Rules give the right verdicts and no others on synthetic records, and the tables of docs/reports.md are those of the code."""

import re
from pathlib import Path

import pytest

from reports.report import make
from reports.rules.__main__ import table as rules_table
from tests.conftest import ROOT
from tests.reports import cases
from train.config import parse

DOCS = (ROOT / "docs" / "reports.md").read_text()


@pytest.mark.parametrize("name", cases.CASES)
def test_made_records_get_the_right_verdicts_and_no_others(name: str, tmp_path: Path) -> None:
    folder, rules = cases.CASES[name]
    found = {one.rule: one.ours.sentence for one in make(folder(tmp_path)).judged if one.ours.state == "triggered"}
    assert set(found) == set(rules), found


def test_training_accepts_every_setting_that_advice_names(tmp_path: Path) -> None:
    settings = set()
    for number, (folder, _) in enumerate(cases.CASES.values()):
        for one in make(folder(tmp_path / str(number))).judged:
            for verdict in filter(None, (one.ours, one.sagemaker)):
                settings |= set(re.findall(r"--set ([a-z-]+)=([\w.+-]*\w)", verdict.advice))
    assert {"lr", "epochs", "early-stopping", "dropout", "views", "class-weights", "finetune-epochs"} <= dict(
        settings
    ).keys()
    for name, value in settings:
        parse({name: value})


@pytest.mark.parametrize(("mark", "text"), [("rules", rules_table()), ("cases", cases.table())])
def test_the_tables_of_the_docs_are_those_of_the_code(mark: str, text: str) -> None:
    inside = DOCS.partition(f"<!-- {mark} -->\n")[2].partition(f"<!-- /{mark} -->")[0]
    assert inside.strip() == text
