"""`byoc report`: writes a page and a JSON file about a run, or about the profiler output of any SageMaker job."""

import webbrowser
from argparse import Namespace

from classifier.names import one_line
from reports.report import write


def command(options: Namespace) -> int:
    """Write the report, print its findings and name its files; raises DataError if the folder holds nothing known."""
    written = write(options.folder, options.out)
    print(written.report.headline)
    for judged in written.report.judged:
        if judged.ours.state == "triggered":
            print(f"{judged.rule}: {judged.ours.sentence} {judged.ours.advice}")
    for sentence in written.report.missing:
        print(f"missing: {sentence}")
    print(f"page: {one_line(written.page)}\nfacts: {one_line(written.facts)}")
    if options.open and not webbrowser.open(written.page.resolve().as_uri()):
        print("no browser was found to open it")
    return 0
