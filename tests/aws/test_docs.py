"""docs/aws.md agrees with the code about byoc.toml and about the functions for notebooks."""

import inspect
import re

from launch import verbs
from launch.aws.account.init import ABOUT
from launch.aws.keys import KEYS
from launch.aws.settings import Settings
from tests.conftest import ROOT

HEAD = "| key | variable | default | meaning |\n| --- | --- | --- | --- |\n"


def table() -> str:
    """Return the table of byoc.toml in docs/aws.md."""
    usual, rows = Settings(), []
    for key in KEYS.values():
        value = getattr(usual, key.field)
        default = (
            ", ".join(value) if isinstance(value, tuple) else str(value).lower() if key.kind == "switch" else value
        )
        name = f"`[{key.table}]` {key.name}" if key.kind != "pairs" and key.table else key.name
        about = "`[tags]`: the tags of everything that byoc makes" if key.kind == "pairs" else ABOUT[key.field]
        rows.append(f"| {name} | `{key.variable}` | {default or ''} | {about} |")
    return HEAD + "\n".join(rows) + "\n"


def test_the_table_of_byoc_toml_is_what_the_code_reads() -> None:
    assert table() in (ROOT / "docs" / "aws.md").read_text()


def test_the_page_names_every_function_of_launch_verbs_with_its_parameters() -> None:
    text = (ROOT / "docs" / "aws.md").read_text()
    public = {
        name: one
        for name, one in vars(verbs).items()
        if inspect.isfunction(one) and one.__module__ == verbs.__name__ and not name.startswith("_")
    }
    table = text.partition("| function | result |")[2].partition("\n\n")[0]
    written = dict(re.findall(r"`(\w+)\(([^)]*)\)`", table))
    assert written.keys() == public.keys()
    for name, function in public.items():
        parameters = inspect.signature(function).parameters.values()
        assert written[name].split(", ") == [one.name for one in parameters if one.default is one.empty], name
