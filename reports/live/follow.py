"""Updates a report again and again and serves it, until Ctrl-C."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from reports.live.server import LivePage, serving
from reports.page.document import Report

# The pause between two reports is at least this many times the processor time of one, so that a slow report is made less often.
SHARE = 4.0


@dataclass(frozen=True, kw_only=True)
class News:
    """The result of one look at a run. `report` is None if nothing has changed; `state` is a sentence on what the run does now."""

    report: Report | None
    state: str


Look = Callable[[], News]


def follow(
    first: Report, look: Look, *, every: float, port: int, begun: Callable[[str], None], ended: Callable[[Report], None]
) -> None:
    """Serve a report, and update it by `look` every `every` seconds, until Ctrl-C.

    Calls `begun` with the address of the page once the page is served. Calls `ended` with the last report at the end, also after an
    error of `look` and after SIGTERM or SIGHUP, which are then raised again. Raises ConfigError if the port cannot be used.
    """
    page, report = LivePage(first), first
    with serving(page, port) as url:
        try:
            begun(url)
            while True:
                started = time.thread_time()
                news = look()
                if news.report is None:
                    page.say(news.state)
                else:
                    report = news.report
                    page.renew(report, news.state)
                time.sleep(max(every, SHARE * (time.thread_time() - started)))
        except KeyboardInterrupt as stop:
            if stop.args:  # the number of SIGTERM or SIGHUP; Ctrl-C has none
                raise
        finally:
            ended(report)
