"""The one boto3 session of a command, and its clients."""

import functools
import os
from pathlib import Path
from typing import Any

import boto3
import botocore.loaders
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from classifier import __version__
from classifier.errors import ConfigError
from launch.aws.errors import explained
from launch.aws.settings import Settings

# Attempts for each request; botocore's default of three failed when SageMaker throttled, and ten succeeded.
ATTEMPTS = 10
CONNECTIONS = 32


@functools.cache
def models() -> Any:
    """Return botocore's loader of the services' models. All clients share it, because reading SageMaker's model takes 0.05 to 0.15 s."""
    return botocore.loaders.create_loader()


class Session:
    """The account's session and clients; each client is made once. If the settings name a profile, keys in the environment are not used."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._clients: dict[tuple[str, str], Any] = {}
        with explained("your AWS configuration"):
            core = botocore.session.get_session()
            core.register_component("data_loader", models())
            self.boto = boto3.Session(
                botocore_session=core,
                profile_name=settings.profile or None,
                region_name=settings.region or os.environ.get("AWS_REGION"),
            )
            core.get_scoped_config()  # reads the configuration now, so that its errors appear here and not later
            # On other machines no server answers at EC2's address for credentials, and botocore would wait for seconds.
            if not _on_ec2():
                core.get_component("credential_provider").remove("iam-role")
        if not self.boto.region_name:
            raise ConfigError("no region is named; write region in byoc.toml, pass --region, or set AWS_REGION")

    @property
    def region(self) -> str:
        return str(self.boto.region_name)

    @functools.cached_property
    def account(self) -> str:
        """The account's number, twelve digits."""
        with explained("the account's number"):
            return str(self.client("sts").get_caller_identity()["Account"])

    def client(self, service: str, region: str = "") -> Any:
        """Return the client of a service. It is made once, and threads may share it."""
        key = service, region or self.region
        if key not in self._clients:
            config = Config(
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                max_pool_connections=CONNECTIONS,
                user_agent_extra=f"byoc/{__version__}",
            )
            try:
                self._clients[key] = self.boto.client(service, config=config, region_name=key[1])
            except BotoCoreError as error:
                raise ConfigError(f"{service} cannot be reached in region {key[1]}: {error}") from None
        return self._clients[key]


def _on_ec2() -> bool:
    """Return whether this machine's firmware shows an EC2 instance or a SageMaker notebook."""
    try:
        return "Amazon" in Path("/sys/class/dmi/id/sys_vendor").read_text()
    except OSError:
        return Path("/sys/hypervisor/uuid").exists()
