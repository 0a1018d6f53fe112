"""The tags that byoc puts on its resources. They show which resources belong together, and when an endpoint's life ends."""

from collections.abc import Mapping
from datetime import UTC, datetime

ENDPOINT = "byoc:endpoint"  # on a model or a configuration: the endpoint that it was made for
RUN = "byoc:run"  # on everything that one `byoc run` made: its name
UNTIL = "byoc:until"  # on an endpoint: when its life ends, ISO 8601 in UTC
PREVIOUS = "byoc:previous"  # on an endpoint: the configuration that served before its last update
SETUP = "byoc:setup"  # on a bucket or a role that byoc setup create made


def until(tags: Mapping[str, str]) -> datetime | None:
    """Return the time at which an endpoint's life ends; None if it has no such tag, or if the tag is not a time."""
    try:
        found = datetime.fromisoformat(tags[UNTIL])
    except (KeyError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
