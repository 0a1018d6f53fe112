"""The keys of byoc.toml: each one's table, type and form, and the setting that it fills."""

import math
import re
from dataclasses import dataclass
from typing import Any, Literal

from classifier.errors import ConfigError
from classifier.switches import yes_or_no

Kind = Literal["text", "list", "seconds", "money", "switch", "pairs"]

# Patterns of values, from the models of SageMaker's and S3's API where these have one.
ROLE_ARN = r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+"
BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
INSTANCE = r"ml\.[a-z0-9-]+\.[a-z0-9]+"
KMS_KEY = r"[a-zA-Z0-9:/_-]{1,2048}"
TAG = r"[\w .:/=+@-]*"
LONGEST_RUN = 28 * 24 * 3600  # the longest run of a job, in seconds (API, StoppingCondition)
TAGS = 50


@dataclass(frozen=True)
class Key:
    """A key of byoc.toml, and the form that its value must have."""

    field: str  # the name of the field in Settings
    table: str  # name of the key's table; empty for keys above the first table
    name: str
    kind: Kind
    form: str  # the form of the value in words, for errors
    pattern: str = ""  # regular expression for a text, or for each text of a list

    @property
    def path(self) -> str:
        """The name of the key in errors."""
        return f"{self.table}.{self.name}" if self.table and self.kind != "pairs" else self.name

    @property
    def variable(self) -> str:
        """The name of the environment variable that replaces the key."""
        return f"BYOC_{self.path.replace('.', '_').upper()}"

    def from_text(self, text: str) -> object:
        """Return a variable's text as the value that byoc.toml would hold.

        Text in another form is returned unchanged, and refused later.
        """
        if self.kind == "list":
            return [item.strip() for item in text.split(",") if item.strip()]
        if self.kind == "pairs":
            pairs = [pair.partition("=") for pair in text.split(",")]
            return {name.strip(): value.strip() for name, equals, value in pairs} if "=" in text else text
        if self.kind == "switch":
            said = yes_or_no(text)
            return text if said is None else said
        for number in (int, float) if self.kind in ("seconds", "money") else ():
            try:
                return number(text)
            except ValueError:
                continue
        return text

    def value_of(self, value: object, place: str) -> Any:
        """Return the value of the setting. Raises ConfigError for a wrong value. `place` names where the value comes from."""
        if not self._fits(value):
            raise ConfigError(f"{place} is {value!r}; it must be {self.form}")
        if isinstance(value, list):
            return tuple(value)
        return float(value) if self.kind == "money" and isinstance(value, int | float) else value

    def _fits(self, value: object) -> bool:
        match self.kind:
            case "text":
                return isinstance(value, str) and (not value or self._matches(value))
            case "list":
                some = bool(value) or self.table != "instances"
                return (
                    isinstance(value, list)
                    and some
                    and all(isinstance(item, str) and self._matches(item) for item in value)
                )
            case "switch":
                return isinstance(value, bool)
            case "seconds":
                return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LONGEST_RUN
            case "money":
                return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
            case "pairs":
                return isinstance(value, dict) and len(value) <= TAGS and all(map(_is_tag, value, value.values()))

    def _matches(self, text: str) -> bool:
        return re.fullmatch(self.pattern, text) is not None


def _is_tag(name: str, value: object) -> bool:
    return (
        isinstance(value, str)
        and 1 <= len(name) <= 128
        and len(value) <= 256
        and not name.lower().startswith("aws:")
        and all(re.fullmatch(TAG, text) for text in (name, value))
    )


_TYPES = "a list of instance types in order of preference, as in ['ml.m5.large']"
_IMAGE = "an image's address without spaces, as in '123456789012.dkr.ecr.eu-central-1.amazonaws.com/byoc-classifier-train:1.0'"

KEYS = {
    key.field: key
    for key in (
        Key(
            field="profile",
            table="",
            name="profile",
            kind="text",
            form="the name of a profile of your AWS configuration",
            pattern=r"\S.*",
        ),
        Key(
            field="region",
            table="",
            name="region",
            kind="text",
            form="a region, as in 'eu-central-1'",
            pattern=r"[a-z]{2}(-[a-z]+)+-\d+",
        ),
        Key(
            field="role",
            table="",
            name="role",
            kind="text",
            form="a role's ARN, as in 'arn:aws:iam::123456789012:role/byoc-sagemaker', or its name",
            pattern=rf"{ROLE_ARN}|[\w+=,.@-]{{1,64}}",
        ),
        Key(
            field="bucket",
            table="",
            name="bucket",
            kind="text",
            form="a bucket's name: 3 to 63 of a-z, 0-9, . and -, without s3://",
            pattern=BUCKET,
        ),
        Key(
            field="prefix",
            table="",
            name="prefix",
            kind="text",
            form="a prefix of keys, without / at its ends, as in 'byoc'",
            pattern=r"[\w.-]+(/[\w.-]+)*",
        ),
        Key(field="train_image", table="images", name="train", kind="text", form=_IMAGE, pattern=r"\S{1,255}"),
        Key(field="serve_image", table="images", name="serve", kind="text", form=_IMAGE, pattern=r"\S{1,255}"),
        Key(field="train_types", table="instances", name="train", kind="list", form=_TYPES, pattern=INSTANCE),
        Key(field="serve_types", table="instances", name="serve", kind="list", form=_TYPES, pattern=INSTANCE),
        Key(field="transform_types", table="instances", name="transform", kind="list", form=_TYPES, pattern=INSTANCE),
        Key(
            field="max_run",
            table="limits",
            name="max_run",
            kind="seconds",
            form=f"a time in whole seconds, 1 to {LONGEST_RUN}",
        ),
        Key(
            field="ask_above",
            table="limits",
            name="ask_above",
            kind="money",
            form="an amount of money, 0 or more, as in 5.0",
        ),
        Key(
            field="subnets",
            table="network",
            name="subnets",
            kind="list",
            form="a list of subnets, as in ['subnet-0a1b2c3d']",
            pattern=r"[-0-9a-zA-Z]{1,32}",
        ),
        Key(
            field="security_groups",
            table="network",
            name="security_groups",
            kind="list",
            form="a list of security groups, as in ['sg-0a1b2c3d']",
            pattern=r"[-0-9a-zA-Z]{1,32}",
        ),
        Key(field="isolation", table="network", name="isolation", kind="switch", form="true or false"),
        Key(field="encrypt_traffic", table="network", name="encrypt_traffic", kind="switch", form="true or false"),
        Key(
            field="volume_key",
            table="keys",
            name="volume",
            kind="text",
            form="the id or ARN of a KMS key",
            pattern=KMS_KEY,
        ),
        Key(
            field="output_key",
            table="keys",
            name="output",
            kind="text",
            form="the id or ARN of a KMS key",
            pattern=KMS_KEY,
        ),
        Key(
            field="tags",
            table="tags",
            name="tags",
            kind="pairs",
            form=f"at most {TAGS} pairs name = 'value', of letters, digits, spaces and _.:/=+@-, none of which begins with aws:",
        ),
    )
}
# The settings that options of launch/aws/options replace.
OPTIONS = ("profile", "region", "role", "bucket", "serve_image")
