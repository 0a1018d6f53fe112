"""The identity of the emulator's clients: a session of a role, so that the SDK's get_execution_role() finds that role."""

from dataclasses import dataclass

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from local_test.sagemaker.settings import ACCOUNT, REGION

ROLE = "byoc-emulate"
PATH = "/service-role/"
TRUST = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, '
    '"Action": "sts:AssumeRole"}]}'
)


@dataclass(frozen=True)
class Keys:
    """Access keys that are valid only in the emulator."""

    access_key: str
    secret_key: str
    session_token: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_SESSION_TOKEN": self.session_token,
        }


def keys() -> Keys:
    """Make the role in moto, and a session of that role."""
    # moto's arguments: name, trust policy, path, boundary, description, tags, longest session
    role = iam_backends[ACCOUNT]["aws"].create_role(ROLE, TRUST, PATH, None, "", [], "43200")
    session = sts_backends[ACCOUNT]["aws"].assume_role(
        region_name=REGION,
        role_session_name="SageMaker",
        role_arn=role.arn,
        policy=None,
        duration=43200,
        external_id=None,
    )
    return Keys(session.access_key_id, session.secret_access_key, session.session_token)
