"""Makes the environment of a command that uses the emulator, and protects real accounts from it."""

import configparser
import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path

import certifi

from local_test.sagemaker.errors import StartError
from local_test.sagemaker.identity import Keys
from local_test.sagemaker.settings import REGION

# The environment variables from which AWS's clients take credentials. They also take credentials from files.
CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
FAKE = re.compile(r"(local|test|testing|fake|dummy|mock|none|minioadmin)\w*", re.IGNORECASE)
KEPT = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_DEFAULT_OUTPUT", "AWS_PAGER")
PROXIES = ("HTTPS_PROXY", "https_proxy")
# Each of these variables would lead a request around the proxy, or through another proxy.
PAST = ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy")
BUNDLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")


def refuse_real_keys(environment: Mapping[str, str]) -> None:
    """Raise StartError if clients that are started beside the emulator would find real credentials.

    If the user does not paste every line, such a client would use the real credentials, and so a real account.
    """
    found = [name for name in CREDENTIALS if environment.get(name) and not FAKE.fullmatch(environment[name])]
    if found:
        raise StartError(
            f"this shell has AWS credentials ({', '.join(found)}), and a client that is started in it could use the real account; "
            f"unset them (unset {' '.join(found)}), or let byoc emulate -- COMMAND start the client: it replaces them"
        )


def of_command(
    environment: Mapping[str, str], keys: Keys, proxy_port: int, folder: Path, authority: bytes
) -> dict[str, str]:
    """Return a command's environment: the proxy, its certificate, keys that only the emulator accepts, and no other setting for AWS."""
    bundle = folder / "authorities.pem"
    bundle.write_bytes(authority + _authorities(environment))
    config = folder / "aws-config"
    config.write_text(_profiles(environment, keys))
    dropped = {*PAST, *(name for name in environment if name.startswith("AWS_") and name not in KEPT)}
    kept = {name: value for name, value in environment.items() if name not in dropped}
    return {
        **kept,
        **keys.environment,
        **dict.fromkeys(PROXIES, f"http://127.0.0.1:{proxy_port}"),
        **dict.fromkeys(BUNDLES, str(bundle)),
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _authorities(environment: Mapping[str, str]) -> bytes:
    """Return the certificates that the command already trusts, for hosts that are not AWS's."""
    named = [environment.get(name) for name in BUNDLES]
    for path in [*named, ssl.get_default_verify_paths().cafile, certifi.where()]:
        if path and Path(path).is_file():
            return b"\n" + Path(path).read_bytes()
    return b""


def _profiles(environment: Mapping[str, str], keys: Keys) -> str:
    """Return a configuration with the names and regions of the user's profiles, but not their keys. Code may name a profile."""
    config = configparser.RawConfigParser()
    config.read(Path(environment.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser())
    secrets = configparser.RawConfigParser()
    secrets.read(Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser())
    regions = {name.removeprefix("profile "): config.get(name, "region", fallback="") for name in config.sections()}
    usual = regions.get(environment.get("AWS_PROFILE") or "default") or environment.get("AWS_REGION") or REGION
    names = {**dict.fromkeys(secrets.sections(), ""), **regions, "default": usual}
    return "".join(_profile(name, region, keys) for name, region in names.items() if " " not in name)


def _profile(name: str, region: str, keys: Keys) -> str:
    lines = [
        f"[{name if name == 'default' else f'profile {name}'}]",
        f"aws_access_key_id = {keys.access_key}",
        f"aws_secret_access_key = {keys.secret_key}",
        f"aws_session_token = {keys.session_token}",
        *([f"region = {region}"] if region else []),
    ]
    return "\n".join(lines) + "\n\n"
