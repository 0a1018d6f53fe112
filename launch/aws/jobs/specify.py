"""Turns the options of train and tune into the specification of a training job."""

from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime

from classifier.errors import ConfigError
from launch.aws import names
from launch.aws.jobs import data
from launch.aws.jobs.account import Account
from launch.aws.jobs.data import Input
from launch.aws.settings import Settings
from launch.aws.specification import Machines, Training
from launch.aws.texts import items, pairs
from train.config import parse


def training(
    options: Namespace, account: Account, inputs: list[Input], hyperparameters: Mapping[str, str], name: str
) -> Training:
    """Return a training job without checkpoints and overrides. Raises ConfigError for an option that cannot be used."""
    session = account.session
    return Training(
        name=name,
        image=account.image,
        identity=account.identity,
        machines=machines(options, session.settings),
        channels=data.channels(inputs, options.input_mode, lambda one: data.splits(session, one)),
        output=f"{account.root}/output",
        hyperparameters=hyperparameters,
        environment=pairs(options.env, "--env"),
    )


def machines(options: Namespace, settings: Settings) -> Machines:
    """Return the instances that the options describe."""
    types = items(options.instance or "") or settings.train_types
    if options.spot and options.keep_alive:
        raise ConfigError("spot instances cannot be kept with --keep-alive; leave --spot or --keep-alive out")
    if options.max_wait is not None and not options.spot:
        raise ConfigError("--max-wait is for spot instances; add --spot, or leave --max-wait out")
    return Machines(
        types=types,
        count=options.count,
        volume_gb=options.volume,
        max_run=settings.max_run if options.max_run is None else options.max_run,
        spot=options.spot,
        max_wait=options.max_wait or 0,
        keep_alive=options.keep_alive,
        retries=options.retries,
    )


def hyperparameters(options: Namespace, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return `base` with the hyperparameters of --set and --backbone. Raises ConfigError for a value that training refuses."""
    given = {"backbone": options.backbone} if options.backbone else {}
    for name, value in pairs_of_set(options.hyperparameters):
        if given.setdefault(name, value) != value:
            raise ConfigError(f"{name} is given as {given[name]} and as {value}; leave one of them out")
    found = {**(base or {}), **given}
    parse(found)
    return found


def pairs_of_set(texts: list[str]) -> list[tuple[str, str]]:
    """Return the hyperparameters of --set by their names."""
    found = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set {text!r} must read NAME=VALUE, as in --set lr=0.01")
        found.append((name, value))
    return found


def new_name(options: Namespace, stem: str, longest: int = names.LONGEST) -> str:
    """Return the name that --name gives, or a new name."""
    return str(options.name) if options.name else names.job(stem, datetime.now(UTC), longest)
