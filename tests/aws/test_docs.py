"""What docs/aws.md says of byoc.toml is what the code reads."""

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
        about = "`[tags]`: on all that is made" if key.kind == "pairs" else ABOUT[key.field]
        rows.append(f"| {name} | `{key.variable}` | {default or ''} | {about} |")
    return HEAD + "\n".join(rows) + "\n"


def test_the_table_of_byoc_toml_is_what_the_code_reads() -> None:
    assert table() in (ROOT / "docs" / "aws.md").read_text()
