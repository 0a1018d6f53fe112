"""docs/emulator.md lists the actions that the emulator answers; the emulator's refusals refer to that list."""

import json
import re
import subprocess

from tests.conftest import ROOT
from tests.sagemaker.conftest import PYTHON

LIST = """
import json
from local_test.sagemaker import subjects
from local_test.sagemaker.actions import ACTIONS, MOTO
print(json.dumps(sorted({*ACTIONS, *MOTO})))
"""


def test_the_document_lists_every_action_that_is_answered_and_no_other() -> None:
    done = subprocess.run([PYTHON, "-c", LIST], cwd=ROOT, capture_output=True, text=True, check=True)
    actions = json.loads(done.stdout)
    text = (ROOT / "docs" / "emulator.md").read_text()
    table = text.split("## What it answers")[1].split("\n## ")[0].split("| --- | --- |")[1]
    named = re.findall(r"`([A-Za-z]+)`", table)
    assert sorted(named) == actions
