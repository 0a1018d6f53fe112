"""`byoc setup`: calls the module of the part that the user names."""

import importlib
from argparse import Namespace

from classifier.errors import ConfigError

PARTS = ("create", "register", "remove", "policy")


def command(options: Namespace) -> int:
    """Run `byoc setup --check`, or one of the parts."""
    if options.check and options.part:
        raise ConfigError(f"byoc setup takes either --check or {options.part}; leave one of them out")
    if not options.check and not options.part:
        raise ConfigError(f"byoc setup needs --check or one of {', '.join(PARTS)}; byoc setup --help explains them")
    module = importlib.import_module(f"launch.aws.account.{options.part or 'check'}")
    status: int = module.command(options)
    return status
