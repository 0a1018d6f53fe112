"""What AWS refuses or cannot do, as one sentence with the remedy and an exit status of its own.

AwsError              1    anything that AWS refuses
└── CredentialsError  3    credentials that are missing, expired or not valid; what runs in AWS goes on
"""

from classifier.errors import UserError

CREDENTIALS_STATUS = 3


class AwsError(UserError):
    """A request that AWS refused, or that did not reach it; `code` is AWS's own word for it, or empty."""

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


class CredentialsError(AwsError):
    """Credentials that are missing, expired or not valid."""

    status = CREDENTIALS_STATUS
