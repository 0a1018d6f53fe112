"""Renews a report again and again and serves it, until Ctrl-C."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from reports.live.server import LivePage, serving
from reports.page.document import Report

# A report that takes long is made less often: the pause between two is so many times the time that one takes.
SHARE = 4.0


@dataclass(frozen=True, kw_only=True)
class News:
    """The result of one look at a run: a report, or None if nothing has changed, and a sentence on what is going on."""

    report: Report | None
    state: str


Look = Callable[[], News]


def follow(
    first: Report, look: Look, *, every: float, port: int, begun: Callable[[str], None], ended: Callable[[Report], None]
) -> None:
    """Serve a report, and renew it by `look` every so many seconds, until Ctrl-C.

    `begun` gets the address of the page once it is served. `ended` gets the last report, whatever ends the serving. Errors of `look` and
    SIGTERM are raised again after that. Raises ConfigError where the port cannot be used.
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
