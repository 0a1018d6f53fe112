"""The policy file of `byoc setup policy`: each verb works with it, and if an action is missing from it, the verb names that action.

An IAM user of the local SageMaker runs the verbs; its policies are evaluated for every request (local_test/sagemaker/access.py).
"""

from typing import Any

import pytest

from launch.aws.account import policy
from launch.aws.account.permissions import VERBS
from tests.aws.office import Office, Scenario, office  # noqa: F401
from tests.aws.scenarios import ACCOUNT, SCENARIOS, deploy_of_ecr

# The prefix of the names of buckets and roles that the scenarios make.
WHERE = policy.Place(ACCOUNT, "us-east-1", "*", "byoc", "*")
QUICK = ("data upload", "setup register", "setup remove", "setup create")
# The emulator has no price list, no quotas and no service-linked roles, so no request needs these actions.
NOT_HERE = {"servicequotas:GetServiceQuota", "servicequotas:GetAWSDefaultServiceQuota", "iam:CreateServiceLinkedRole"}


def marked(verb: str) -> Any:
    return pytest.param(verb, marks=() if verb in QUICK else pytest.mark.long)


def without(verb: str, missing: str = "") -> dict[str, Any]:
    """Return the policy of one verb, without an action."""
    document = policy.document([verb], WHERE)
    for statement in document["Statement"]:
        statement["Action"] = [action for action in statement["Action"] if action != missing]
    nothing = {"Effect": "Allow", "Action": "sts:GetCallerIdentity", "Resource": "*"}
    document["Statement"] = [statement for statement in document["Statement"] if statement["Action"]] or [nothing]
    return document


@pytest.mark.parametrize("verb", [marked(verb) for verb in VERBS])
def test_each_verb_works_on_its_policy_and_each_action_is_needed(office: Office, verb: str) -> None:
    of_scenario: dict[Scenario, set[str]] = {}
    for scenario in SCENARIOS[verb]:
        arguments = office.lay_out(scenario)
        office.allow(without(verb))
        printed = office.run(arguments)
        asked = office.asked()
        refused = {action for action, allowed in asked.items() if not allowed}
        assert not refused and "you lack the permission" not in printed, (scenario.__name__, refused, printed)
        if verb not in ("prices", "setup --check"):
            assert printed.endswith("status 0") or scenario in (deploy_of_ecr,), (scenario.__name__, printed)
        of_scenario[scenario] = set(asked)
    permissions = {permission.action: permission for permission in VERBS[verb]}
    used = set().union(*of_scenario.values()) - {"sts:GetCallerIdentity"}
    assert used - permissions.keys() == set()
    assert permissions.keys() - used <= NOT_HERE
    for action in sorted(used):
        scenario = next(scenario for scenario, asked in of_scenario.items() if action in asked)
        arguments = office.lay_out(scenario)
        office.allow(without(verb, action))
        printed = office.run(arguments)
        assert office.asked()[action] is False, (action, printed)
        if not permissions[action].else_:
            # S3 also answers 403 for an object that does not exist yet, such as an asynchronous answer.
            assert "status 1" in printed and (action in printed or "allow reading these keys of S3" in printed), (
                action,
                printed,
            )
        assert "Traceback" not in printed
