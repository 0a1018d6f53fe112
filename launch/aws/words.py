"""Texts for check.py: the option that sets a member of a request, the values that a pattern allows, and the word that the user may have
meant.
"""

import difflib
import functools
import re
from collections.abc import Collection

from launch.aws.keys import KEYS
from launch.aws.names import ALLOWED


def in_toml(setting: str) -> str:
    """Return the words for a setting's place, as in: train in [instances] of byoc.toml."""
    key = KEYS[setting]
    return (
        f"{key.name} in [{key.table}] of byoc.toml" if key.table and key.kind != "pairs" else f"{key.name} in byoc.toml"
    )


NAME = f"{ALLOWED}, with a letter or digit at both ends"
# The values that each pattern of botocore's model allows, in words.
WANTED = {
    "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}": f"write at most 63 {NAME}",
    "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,31}": f"write at most 32 {NAME}",
    r"[a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?": f"write {NAME}",
    # The API also accepts an ARN, but byoc names only groups of its own account.
    r"(arn:aws[a-z\-]*:sagemaker:[a-z0-9\-]*:[0-9]{12}:[a-z\-]*\/)?([a-zA-Z0-9]([a-zA-Z0-9-]){0,62})(?<!-)": (
        f"write at most 63 {NAME}"
    ),
    r"arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+": (
        "write the whole ARN of the role, as in arn:aws:iam::123456789012:role/name"
    ),
    "(https|s3)://([^/]+)/?(.*)": "write an address in S3, as in s3://bucket/prefix/",
    "(https|s3)://([^/])/?(.*)": "write an address in S3, as in s3://bucket/prefix/",
    "[a-zA-Z0-9:/_-]*": "write the id, the ARN or the alias of a KMS key",
    "[a-zA-Z_][a-zA-Z0-9_]*": "a variable's name has letters, digits and _, and does not begin with a digit",
    "[-0-9a-zA-Z]+": "write its id, as in subnet-0a1b2c or sg-0a1b2c",
    r"[A-Za-z0-9\.\-_]+": "write letters, digits, dots, hyphens and _",
    r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)": "a tag has letters, digits, spaces and _ . : / = + - @",
    r"[\S]+": "an image's name has no spaces",
}
# The option for each member. A key is the end of the member's path without indexes in lists; the longest matching end is used.
SOURCES = {
    "TrainingJobName": "--name",
    "HyperParameterTuningJobName": "--name",
    "TransformJobName": "--name",
    "EndpointName": "--endpoint",
    "ModelPackageGroupName": "--group",
    "RoleArn": f"--role, or {in_toml('role')}",
    "ExecutionRoleArn": f"--role, or {in_toml('role')}",
    "TrainingImage": in_toml("train_image"),
    "PrimaryContainer.Image": in_toml("serve_image"),
    "InstanceType": f"--instance, or {in_toml('train_types')}",
    "ProductionVariants.InstanceType": f"--instance, or {in_toml('serve_types')}",
    "InstancePools.InstanceType": f"--instance, or {in_toml('serve_types')}",
    "InstancePools": f"--instance, or {in_toml('serve_types')}",
    "TransformResources.InstanceType": f"--instance, or {in_toml('transform_types')}",
    "InstancePreferences": f"--instance, or {in_toml('train_types')}",
    "InstanceConfigs": f"--instance, or {in_toml('train_types')}",
    "InstanceCount": "--count",
    "InitialInstanceCount": "--count",
    "RetryStrategy.MaximumRetryAttempts": "--retries",
    "KeepAlivePeriodInSeconds": "--keep-alive",
    "MaxNumberOfTrainingJobsNotImproving": "--without-improvement",
    "RandomSeed": "--seed",
    "Environment": "--env",
    "MaxRuntimeInSeconds": f"--max-run, or {in_toml('max_run')}",
    "ResourceLimits.MaxRuntimeInSeconds": "",
    "VpcConfig.Subnets": in_toml("subnets"),
    "VpcConfig.SecurityGroupIds": in_toml("security_groups"),
    "VolumeKmsKeyId": in_toml("volume_key"),
    "KmsKeyId": in_toml("output_key"),
    "Tags": f"--tag, or {in_toml('tags')}",
    "HyperParameters": "--set",
    "StaticHyperParameters": "--set",
}


def named(path: tuple[str | int, ...]) -> str:
    """Return a member's path in the usual form: Tags[0].Value."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text or "the request"


def source(path: tuple[str | int, ...]) -> str:
    """Return the option or setting of a member, in brackets; empty if there is none."""
    words = [step for step in path if isinstance(step, str)]
    for length in range(len(words), 0, -1):  # a list's or map's option also sets the members inside
        held = words[:length]
        for start in range(length):
            text = SOURCES.get(".".join(held[start:]))
            if text is not None:
                return f" ({text})" if text else ""
    return ""


def wanted(pattern: str) -> str:
    """Return a description of the values that a pattern allows, or the pattern itself."""
    return WANTED.get(pattern) or f"it must match the pattern {pattern}"


@functools.cache
def compiled(pattern: str) -> "re.Pattern[str]":
    """Compile a pattern of the API, which uses Java's names for classes of Unicode characters."""
    spaces = r" \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
    java = {r"\p{Alnum}": "a-zA-Z0-9", r"\p{L}": r"\w", r"\p{N}": r"\w", r"\p{Z}": spaces}
    for name, python in java.items():
        pattern = pattern.replace(name, python)
    # Python has no class for marks, symbols and punctuation, so we allow any character and let AWS refuse.
    if r"\p{" in pattern:
        return re.compile(".*", re.DOTALL)
    return re.compile(pattern)


def meant(word: object, words: Collection[str]) -> str:
    """Return "; did you mean ...?" if a known word is similar. Otherwise return all words if there are few, or a remedy."""
    whole = f"ml.{word}"  # an instance type as EC2 names it
    close = [whole] if whole in words else difflib.get_close_matches(str(word), words, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    if len(words) <= 12:
        return f"; it is one of {', '.join(words)}"
    return f"; this version of boto3 knows {len(words)} values, and a newer version may know this one"


def many(kind: str, number: int) -> str:
    """Return a number and its noun: characters of a string, or entries of a list."""
    noun = "character" if kind == "string" else "entry"
    return f"{number} {noun}" if number == 1 else f"{number} {'characters' if kind == 'string' else 'entries'}"
