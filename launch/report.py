"""`byoc report`: one page, and a JSON file, on a run of ours or on the profiler output of any SageMaker job."""

import webbrowser
from argparse import Namespace

from classifier.errors import ConfigError
from classifier.names import one_line
from reports.comparison import write_comparison
from reports.page.numbers import cost
from reports.report import write
from reports.rules.cost import Price


def command(options: Namespace) -> int:
    """Write the report, print its findings and name its files; raises DataError where the folder holds nothing known."""
    if options.other:
        if options.price is not None:
            raise ConfigError("--price is for the report on one run; leave it out where two runs are compared")
        written = write_comparison(options.folder, options.other, options.out)
    else:
        written = write(options.folder, options.out, _price(options))
    print(written.report.headline)
    for judged in written.report.judged:
        if judged.ours.state == "triggered":
            spent = f" It cost about {cost(judged.cost)}." if judged.cost else ""
            print(f"{judged.rule}: {judged.ours.sentence}{spent} {judged.ours.advice}")
    for sentence in written.report.missing:
        print(f"missing: {sentence}")
    print(f"page: {one_line(written.page)}\nfacts: {one_line(written.facts)}")
    if options.open and not webbrowser.open(written.page.resolve().as_uri()):
        print("no browser was found to open it")
    return 0


def _price(options: Namespace) -> Price | None:
    if options.price is None:
        return None
    if not 0 < options.price < 1e6:
        raise ConfigError(
            f"--price {options.price:g} is not the price of an hour; give a number above 0, as in --price 0.736"
        )
    return Price(hour=options.price, currency="USD", source="--price")
