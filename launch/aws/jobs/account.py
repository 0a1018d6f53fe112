"""Finds the session, the role, the image and the bucket that a job uses. In a dry run some of them may be missing."""

import dataclasses
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass

from classifier.errors import ConfigError, UserError
from launch.aws import buckets
from launch.aws import settings as account_settings
from launch.aws.identity import identity, security
from launch.aws.images import image
from launch.aws.keys import KEYS
from launch.aws.session import Session
from launch.aws.settings import Settings
from launch.aws.specification import Identity
from launch.aws.texts import pairs

# Placeholders for settings that the user has not given. A plan with a placeholder is never sent.
REGION, BUCKET, IMAGE = "us-east-1", "missing-bucket", "missing-image"
ROLE = "arn:aws:iam::000000000000:role/missing-role"


@dataclass(frozen=True)
class Account:
    """The account of one command.

    `missing` holds a sentence for each setting that a placeholder replaces; if it is not empty, nothing may be sent.
    """

    session: Session
    identity: Identity
    image: str
    bucket: str
    missing: tuple[str, ...] = ()

    @property
    def root(self) -> str:
        """The S3 address below which byoc stores everything."""
        return f"s3://{self.bucket}/{self.session.settings.prefix}"


def account(options: Namespace) -> Account:
    """Return the account that the options and byoc.toml describe. Raises UserError for a missing setting, except in a dry run."""
    settings = account_settings.load(options)
    if options.image:
        settings = dataclasses.replace(settings, train_image=options.image)
    missing: list[str] = []

    def or_missing(get: Callable[[], str], instead: str) -> str:
        try:
            return get()
        except UserError as error:
            missing.append(str(error))
            return instead

    session = _session(settings, options, missing)
    tags = KEYS["tags"].value_of({**settings.tags, **pairs(options.tag, "--tag")}, "--tag, with [tags] of byoc.toml,")
    who = dataclasses.replace(
        Identity(role=or_missing(lambda: identity(session).role, ROLE)),
        tags=tags,
        security=dataclasses.replace(security(settings), isolation=settings.isolation or options.isolation),
    )
    found = Account(
        session=session,
        identity=who,
        image=or_missing(lambda: image(settings, "train"), IMAGE),
        bucket=or_missing(lambda: buckets.named(settings), BUCKET),
        missing=tuple(missing),
    )
    if missing and not options.dry_run:
        raise ConfigError("\n".join(missing))
    return found


def _session(settings: Settings, options: Namespace, missing: list[str]) -> Session:
    try:
        return Session(settings)
    except ConfigError as error:
        if not options.dry_run:
            raise
        missing.append(str(error))
        return Session(dataclasses.replace(settings, region=REGION))
