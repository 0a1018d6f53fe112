"""Rules give the right verdicts and no others on synthetic records."""

import re
from pathlib import Path

import pytest

from reports.report import make
from tests.reports import cases
from train.config import parse


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
