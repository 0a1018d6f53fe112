"""What the account gives a job: the session, the role, the image and the bucket; or, in a dry run, what is missing of it."""

import dataclasses
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass

from classifier.errors import ConfigError, UserError
from launch.aws import settings as account_settings
from launch.aws.identity import identity, security
from launch.aws.images import image
from launch.aws.keys import KEYS
from launch.aws.session import Session
from launch.aws.settings import Settings
from launch.aws.specification import Identity

# What stands in a plan for what nobody has named; a plan with one of them is never sent.
REGION, BUCKET, IMAGE = "us-east-1", "missing-bucket", "missing-image"
ROLE = "arn:aws:iam::000000000000:role/missing-role"


@dataclass(frozen=True)
class Account:
    """The account of one run. Where something is `missing`, a stand-in has its place, and nothing may be sent."""

    session: Session
    identity: Identity
    image: str
    bucket: str
    missing: tuple[str, ...] = ()

    @property
    def root(self) -> str:
        """The S3 address below which everything of ours lies."""
        return f"s3://{self.bucket}/{self.session.settings.prefix}"


def account(options: Namespace) -> Account:
    """Return what the options and byoc.toml name; raises UserError for what is missing, except in a dry run."""
    settings = account_settings.load(options)
    if options.image:
        settings = dataclasses.replace(settings, train_image=options.image)
    missing: list[str] = []

    def had(get: Callable[[], str], instead: str) -> str:
        try:
            return get()
        except UserError as error:
            missing.append(str(error))
            return instead

    session = _session(settings, options, missing)
    tags = KEYS["tags"].value_of({**settings.tags, **pairs(options.tag, "--tag")}, "--tag, with [tags] of byoc.toml,")
    who = dataclasses.replace(
        Identity(role=had(lambda: identity(session).role, ROLE)),
        tags=tags,
        security=dataclasses.replace(security(settings), isolation=settings.isolation or options.isolation),
    )
    found = Account(
        session,
        who,
        had(lambda: image(settings, "train"), IMAGE),
        had(lambda: _bucket(settings), BUCKET),
        tuple(missing),
    )
    if missing and not options.dry_run:
        raise ConfigError("\n".join(missing))
    return found


def pairs(texts: list[str], option: str) -> dict[str, str]:
    """Return what NAME=VALUE options say; raises ConfigError for one of another form."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (equals and name):
            raise ConfigError(f"{option} {text!r} must read NAME=VALUE")
        found[name] = value
    return found


def _session(settings: Settings, options: Namespace, missing: list[str]) -> Session:
    try:
        return Session(settings)
    except ConfigError as error:
        if not options.dry_run:
            raise
        missing.append(str(error))
        return Session(dataclasses.replace(settings, region=REGION))


def _bucket(settings: Settings) -> str:
    if not settings.bucket:
        raise ConfigError("no bucket is named; write bucket in byoc.toml, pass --bucket, or let `byoc setup` make one")
    return settings.bucket
