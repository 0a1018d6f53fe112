"""Renews a report again and again and serves it, until Ctrl-C."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from reports.live.server import LivePage, serving
from reports.page.document import Report

SHARE = 4.0  # a report that takes long to compute is made less often: between two of them is so many times that long


@dataclass(frozen=True, kw_only=True)
class News:
    """What a look at the thing that is followed brought: a report, or None where nothing has changed, and what goes on."""

    report: Report | None
    state: str


Look = Callable[[], News]


def follow(
    first: Report, look: Look, *, every: float, port: int, begun: Callable[[str], None], ended: Callable[[Report], None]
) -> None:
    """Serve a report, and renew it by `look` every so many seconds, until Ctrl-C.

    `begun` gets the address of the page once it is served, `ended` the last report, whatever ends it: an error of `look` and
    SIGTERM too, which are raised again. Raises ConfigError where the port cannot be used.
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
