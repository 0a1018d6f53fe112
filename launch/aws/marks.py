"""The driver's tags. With them it finds what belongs together, and what is over its time."""

from collections.abc import Mapping
from datetime import UTC, datetime

ENDPOINT = "byoc:endpoint"  # of a model or configuration: the endpoint that it was made for
RUN = "byoc:run"  # of all that one `byoc run` made
UNTIL = "byoc:until"  # of an endpoint: when its life ends, ISO 8601 in UTC
PREVIOUS = "byoc:previous"  # of an endpoint: the configuration that served before its last update
SETUP = "byoc:setup"  # of a bucket or a role that byoc setup create made


def until(tags: Mapping[str, str]) -> datetime | None:
    """Return when an endpoint's life ends; None where it has no such tag, or where the tag is not a time."""
    try:
        found = datetime.fromisoformat(tags[UNTIL])
    except (KeyError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
