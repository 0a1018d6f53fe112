"""The policy file of `byoc setup policy` and the role's policy: their form, and actions and resources as AWS knows them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from launch.aws.account import policy
from launch.aws.account.permissions import VERBS
from launch.aws.settings import Settings
from tests.conftest import byoc
from tests.sagemaker.conftest import ROLE

ACCOUNT = "123456789012"
WHERE = policy.Place(ACCOUNT, "us-east-1", "*", "byoc", "*")
# AWS's service authorisation reference.
FACTS: dict[str, Any] = json.loads((Path(__file__).parent / "iam_facts.json").read_text())["actions"]


@pytest.mark.parametrize("verb", VERBS)
def test_each_action_and_its_resource_are_aws_own(verb: str) -> None:
    for permission in VERBS[verb]:
        fact = FACTS[permission.action]
        kinds = [re.sub(r"\$\{[^}]*\}", "[^:]*", arn) for arn in fact["resources"].values()]
        arn = policy.resource(permission, policy.Place(ACCOUNT, "us-east-1", "bucket", "byoc", "role"))
        if arn == "*":
            assert not fact["required"], permission
        else:
            assert any(re.fullmatch(kind, arn) for kind in kinds), (permission, kinds)


@pytest.mark.parametrize("verb", VERBS)
def test_the_actions_that_aws_checks_besides_are_in_the_verbs_policy(verb: str) -> None:
    actions = {permission.action for permission in VERBS[verb]}
    # byoc never tags a scalable target.
    wanted = {other for action in actions for other in FACTS[action]["dependent"]} - {
        "application-autoscaling:TagResource"
    }
    assert wanted <= actions


def test_the_roles_policy_names_actions_that_aws_knows() -> None:
    settings = Settings(subnets=("s",), security_groups=("g",), volume_key="alias/x", output_key="0a1b")
    document = policy.execution(settings, WHERE)
    assert {action for statement in document["Statement"] for action in statement["Action"]} <= FACTS.keys()
    assert f"arn:aws:kms:us-east-1:{ACCOUNT}:key/*" in str(document)
    assert "ec2:" not in str(policy.execution(Settings(), WHERE)) and "kms:" not in str(
        policy.execution(Settings(), WHERE)
    )


def test_the_policy_names_what_the_settings_name(folder: Path) -> None:
    (folder / "byoc.toml").write_text(f'region = "cn-north-1"\nrole = "{ROLE}"\nbucket = "my-photos"\n')
    done = byoc("setup", "policy", "--verb", "train", "--out", "policy.json")
    assert done.returncode == 0 and "create-policy" in done.stdout and done.stderr == ""
    text = (folder / "policy.json").read_text()
    assert f'"arn:aws-cn:iam::{ACCOUNT}:role/service-role/local"' in text
    assert (
        '"arn:aws-cn:s3:::my-photos/*"' in text and f"arn:aws-cn:sagemaker:cn-north-1:{ACCOUNT}:training-job/*" in text
    )
    passed = [entry for entry in json.loads(text)["Statement"] if "iam:PassRole" in entry["Action"]]
    assert [entry["Condition"] for entry in passed] == [
        {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    ]
    assert len(text) < 6144  # characters of a managed policy: IAM's quota
    done = byoc("setup", "policy", "--out", "policy.json")
    assert done.returncode == 1 and "exists; name a new file" in done.stderr
    done = byoc("setup", "policy", "--verb", "trian")
    assert done.returncode == 1 and "did you mean train?" in done.stderr


def test_the_policy_of_all_verbs_fits_into_a_managed_policy() -> None:
    text = json.dumps(policy.document(VERBS, WHERE), separators=(",", ":"))
    assert len(text) <= 6144  # white space does not count
