"""The tags that byoc puts on its resources. They show which resources belong together, and when an endpoint's life ends."""

from collections.abc import Mapping
from datetime import UTC, datetime

ENDPOINT = "byoc:endpoint"  # tag of a model or a configuration: name of the endpoint that it was made for
RUN = "byoc:run"  # tag of everything that a `byoc run` makes: name of the run
UNTIL = "byoc:until"  # tag of an endpoint: end of its life, as ISO 8601 in UTC
PREVIOUS = "byoc:previous"  # tag of an endpoint: name of the configuration that served before the last update
SETUP = "byoc:setup"  # tag of a bucket or role that byoc setup create made


def until(tags: Mapping[str, str]) -> datetime | None:
    """Return the time at which an endpoint's life ends; None if it has no such tag, or if the tag is not a time."""
    try:
        found = datetime.fromisoformat(tags[UNTIL])
    except (KeyError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
