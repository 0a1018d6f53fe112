"""The page and the JSON file as text: their content, what the page may load, and that nothing in a record becomes markup."""

import base64
import hashlib
import html
import json
import os
import re
import resource
from pathlib import Path
from typing import Any

import pytest

from classifier.errors import DataError
from reports.page import render
from reports.page.numbers import bands, seconds, show, size
from reports.report import make, write
from tests.conftest import Run, byoc, needs_torch
from tests.reports.made import course, done, epoch, healthy, job, judged, metrics, record, trace
from tests.reports.made import write as write_records

PAGE_LIMIT = 3_000_000
VENDOR = Path(render.__file__).parent / "vendor"


def made(folder: Path, records: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    written = write(write_records(folder, records))
    return written.page.read_text(), json.loads(written.facts.read_text())


def test_the_page_may_load_nothing_and_runs_its_own_scripts_only(tmp_path: Path) -> None:
    text, _ = made(tmp_path, healthy())
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    parts = dict(part.split(" ", 1) for part in html.unescape(policy).split("; "))
    assert parts["default-src"] == "'none'" and parts["img-src"] == "data:"
    assert parts["base-uri"] == parts["form-action"] == "'none'"
    # The chart library is text until the page's own script runs it.
    scripts = re.findall(r'<script(?: type="text/plain" id="library")?>(.*?)</script>', text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert parts["script-src"] == " ".join(f"'sha256-{one}'" for one in hashes) and len(hashes) == 2
    assert not re.findall(r'(?:src|href)="(?!#|data:)', text)
    assert len(text) < PAGE_LIMIT


def test_each_chart_has_a_sentence_and_a_table(tmp_path: Path) -> None:
    report = make(trace(metrics(write_records(tmp_path, healthy()), [50] * 100, [60] * 100), [0.1] * 60))
    charts = [chart for section in report.sections for chart in section.charts]
    assert {"loss", "accuracies", "rate", "steps", "accuracy", "pairs", "matrix", "parts", "phases"} <= {
        one.id for one in charts
    }
    assert len({chart.id for chart in charts}) == len(charts)
    for chart in charts:
        assert chart.sentence.endswith(".") and chart.table.rows
        assert all(len(row) == len(chart.table.columns) for row in chart.table.rows)


def test_the_json_file_holds_what_the_page_says(tmp_path: Path) -> None:
    text, facts = made(tmp_path, healthy())
    page = html.unescape(text)
    assert facts["format"] == 1 and facts["headline"] in page
    for one in facts["judged"]:
        assert one["rule"] in page and one["ours"]["sentence"] in page
    for section in facts["sections"]:
        for name, value in section["facts"]:
            assert name in page and value in page
        for chart in section["charts"]:
            assert chart["sentence"] in page
    for sentence in facts["missing"]:
        assert sentence in page


MARKUP = '"><script>alert(1)</script>'


def test_labels_file_names_and_notes_that_are_markup_stay_text(tmp_path: Path) -> None:
    names = (MARKUP, "<b>pug</b>", "</script><img src=x onerror=alert(2)>")
    matrix = [[10, 5, 0], [0, 10, 0], [9, 0, 1]]
    records = [
        job(classes=names, notes=[f"note {MARKUP}"], hyperparameters={MARKUP: MARKUP}),
        record("unreadable", path=f"/photos/{MARKUP}.jpg", reason=MARKUP),
        record("trial", number=1, hyperparameters={MARKUP: 0.1}, validation_accuracy=0.5, seconds=1.0, reason=MARKUP),
        *course([1.0, 0.5], [1.0, 0.5], stage=MARKUP),
        *judged("test", matrix, names),
        done(**{MARKUP: 3.0}),
    ]
    text, _ = made(tmp_path, records)
    without = re.sub(r'<script(?: type="text/plain" id="library")?>.*?</script>', "", text, flags=re.DOTALL)
    assert "<script>" not in without and "<b>" not in without and "<img" not in without
    assert without.count("</script>") == 1  # the end of the element that holds the data
    assert html.unescape(without).count(MARKUP) > 5


def test_a_page_of_nothing_says_what_is_missing_in_every_section(tmp_path: Path) -> None:
    text, facts = made(tmp_path, [])
    assert [section["missing"] != [] for section in facts["sections"]] == [True] * 5
    assert "No rule could be judged with these records." in text
    assert all(one["ours"]["state"] == "not judged" for one in facts["judged"])


def test_numbers_that_are_not_finite_do_not_break_the_json_file(tmp_path: Path) -> None:
    records = [job(), epoch(1, 1.0, 1.0, step_losses=[None, 1.0, 0.5], train_loss=None), done(head=float("inf"))]
    _, facts = made(tmp_path, records)
    assert "Infinity" not in json.dumps(facts) and "NaN" not in json.dumps(facts)


def test_the_charts_are_drawn_by_the_bytes_that_the_vendor_file_names() -> None:
    for line in (VENDOR / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name
    licences = (VENDOR / "licences.txt").read_text()
    assert "Apache License" in licences and "Apache ECharts" in licences and "BSD 3-Clause" in licences
    script = (VENDOR / "echarts.min.js").read_text()
    assert "eval(" not in script and "new Function" not in script and "</script" not in script


def test_the_script_of_the_page_stays_short() -> None:
    assert len((Path(render.__file__).parent / "page.js").read_text().splitlines()) < 300


def test_a_large_run_stays_below_the_limit(tmp_path: Path) -> None:
    names = tuple(f"class number {number}" for number in range(400))
    matrix = [
        [3 if row == column else int((row * 7 + column * 3) % 29 == 0) for column in range(400)] for row in range(400)
    ]
    losses = [1 + 1 / (1 + number) for number in range(100)]
    records = [job(classes=names), *course(losses, losses, step_losses=[0.123456789] * 2000, step_seconds=[0.1] * 2000)]
    text, _ = made(tmp_path, [*records, *judged("test", matrix, names), done()])
    assert len(text) < PAGE_LIMIT


def test_bands_keep_every_peak() -> None:
    import numpy as np

    values = np.zeros(1000)
    values[777], values[3] = 9.0, -4.0
    places, means, low, high = bands(values, 50)
    assert len(places) == len(means) == 50 and high.max() == 9 and low.min() == -4
    assert means.mean() == pytest.approx(values.mean())
    assert len(bands(values[:7], 50)[0]) == 7


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (None, "number", "-"),
        (float("nan"), "number", "-"),
        (0.8651, "percent", "86.5 %"),
        (1234567, "number", "1,234,567"),
        (0.00012345, "number", "0.0001234"),
        (0.0123, "seconds", "12.3 ms"),
        (7300.0, "seconds", "2.0 h"),
        (1.5e9, "bytes", "1.5 GB"),
        ("<b>", "text", "<b>"),
    ],
)
def test_numbers_are_written_as_people_read_them(value: Any, form: Any, text: str) -> None:
    assert show(value, form) == text


def test_durations_and_sizes_have_units() -> None:
    assert [seconds(one) for one in (0.5, 90, 600)] == ["500 ms", "90 s", "10.0 min"]
    assert [size(one) for one in (12, 9999, 2.5e13)] == ["12 bytes", "10 kB", "25 TB"]


@needs_torch
def test_the_command_writes_both_files_and_names_them(trained: Run, tmp_path: Path) -> None:
    ran = byoc("report", trained.base, "--out", tmp_path / "new" / "page.html")
    assert ran.returncode == 0, ran.stderr
    assert f"page: {tmp_path}/new/page.html\nfacts: {tmp_path}/new/page.json\n" in ran.stdout
    accuracy = trained.record("result", split="test")["accuracy"]
    assert f"{100 * accuracy:.1f} % of the test photos are predicted rightly." in ran.stdout
    facts = json.loads((tmp_path / "new" / "page.json").read_text())
    assert dict(facts["sections"][0]["facts"])["Accuracy on test"].startswith(f"{100 * accuracy:.1f} %")


def test_the_command_refuses_other_folders_in_one_sentence(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        ran = byoc("report", folder)
        assert ran.returncode == 1 and ran.stderr.startswith("byoc: ") and len(ran.stderr.splitlines()) == 1


def test_the_command_writes_into_the_run_where_nothing_else_is_said(tmp_path: Path) -> None:
    ran = byoc("report", write_records(tmp_path, healthy()))
    assert ran.returncode == 0 and "LossNotDecreasing" not in ran.stdout
    assert (tmp_path / "report.html").exists() and (tmp_path / "report.json").exists()
    assert byoc("report", tmp_path).stdout == ran.stdout  # the report is not taken for a record


def test_open_gives_the_page_to_the_browser(tmp_path: Path) -> None:
    opened, browser = tmp_path / "opened", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    ran = byoc(
        "report", write_records(tmp_path / "run", healthy()), "--open", env={**os.environ, "BROWSER": str(browser)}
    )
    assert ran.returncode == 0, ran.stderr
    assert opened.read_text().strip() == (tmp_path / "run" / "report.html").as_uri()


def test_a_page_named_like_its_facts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ends in \.html"):
        write(write_records(tmp_path, healthy()), tmp_path / "page.json")


def test_a_page_whose_facts_would_overwrite_a_file_of_the_run_is_refused(tmp_path: Path) -> None:
    write_records(tmp_path / "output" / "data", healthy())
    trials = tmp_path / "tuning.json"
    trials.write_text('{"trials": []}')
    refused = byoc("report", tmp_path, "--out", tmp_path / "tuning.html")
    assert (
        refused.returncode == 1
        and "is not the JSON file of a report" in refused.stderr
        and refused.stderr.count("\n") == 1
    )
    assert trials.read_text() == '{"trials": []}' and not (tmp_path / "tuning.html").exists()


def test_a_place_that_is_not_a_file_gets_no_page_and_no_facts(tmp_path: Path) -> None:
    write_records(tmp_path / "run", healthy())
    (tmp_path / "out.json").mkdir()
    for place in ("out.html", "run"):
        refused = byoc("report", tmp_path / "run", "--out", tmp_path / place)
        assert refused.returncode == 1 and "is not a file; name a file that ends in .html" in refused.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json", "run"]


def test_a_disk_that_is_full_leaves_the_earlier_report_whole(tmp_path: Path) -> None:
    write_records(tmp_path, healthy())
    assert byoc("report", tmp_path).returncode == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    full = byoc("report", tmp_path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)))
    assert full.returncode == 1 and full.stderr == f"byoc: {tmp_path / 'report.html'} cannot be used: File too large\n"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
