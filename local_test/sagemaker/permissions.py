"""Answers IAM's SimulatePrincipalPolicy, which moto does not have and which SDK v3 calls before it trains. The answer is always
that the action is allowed, because the emulator does not check permissions (docs/emulator.md).
"""

import re
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

ACTION = re.compile(r"ActionNames\.member\.\d+")
NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"


def answer(body: bytes) -> str | None:
    """Return the XML answer to SimulatePrincipalPolicy; None for any other request to IAM."""
    values = parse_qsl(body.decode("utf-8", "replace"))
    if ("Action", "SimulatePrincipalPolicy") not in values:
        return None
    results = "".join(_allowed(value) for name, value in values if ACTION.fullmatch(name))
    return (
        f'<SimulatePrincipalPolicyResponse xmlns="{NAMESPACE}"><SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated>'
        f"<EvaluationResults>{results}</EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"
    )


def _allowed(action: str) -> str:
    return (
        f"<member><EvalActionName>{escape(action)}</EvalActionName><EvalResourceName>*</EvalResourceName>"
        "<EvalDecision>allowed</EvalDecision></member>"
    )
