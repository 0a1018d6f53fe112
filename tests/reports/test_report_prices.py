"""The cost of a job and of its findings: shown only if a price is given, and only for findings that cost time."""

import json
from pathlib import Path

import pytest

from reports.report import make
from reports.rules.cost import Cost, Price
from tests.conftest import byoc
from tests.reports import cases
from tests.reports.made import course, done, healthy, job, metrics, write

PRICE = Price(hour=3.6, currency="USD", source="--price")  # 0.001 USD for each second


def costs(folder: Path, price: Price | None = PRICE) -> dict[str, Cost | None]:
    return {one.rule: one.cost for one in make(folder, price).judged if one.ours.state == "triggered"}


def idle(folder: Path) -> Path:
    return metrics(folder, [3] * 600, [97] * 600)  # 299.5 seconds


def test_an_idle_gpu_costs_its_share_of_the_job(tmp_path: Path) -> None:
    found = costs(idle(tmp_path))["LowGPUUtilization"]
    assert found is not None and found.seconds == pytest.approx(0.97 * 299.5)
    assert found.money == pytest.approx(0.97 * 0.2995) and (found.currency, found.instances) == ("USD", 1)


def test_two_hosts_cost_twice_as_much(tmp_path: Path) -> None:
    metrics(idle(tmp_path), [3] * 600, [97] * 600, node="algo-2")
    found = costs(tmp_path)["LowGPUUtilization"]
    assert found is not None and found.instances == 2 and found.money == pytest.approx(2 * 0.97 * 0.2995)


def test_what_was_billed_and_the_number_of_instances_come_first(tmp_path: Path) -> None:
    price = Price(hour=3.6, currency="EUR", source="prices.json", instances=3, billed_seconds=1000)
    found = costs(idle(tmp_path), price)["CPUBottleneck"]
    assert found is not None and found.money == pytest.approx(3.0) and found.currency == "EUR"


def test_waiting_for_photos_costs_its_share_of_the_steps(tmp_path: Path) -> None:
    falling = cases.FALLING
    write(tmp_path, [job(), *course(falling, falling, data_wait_share=0.7), done()])
    found = costs(tmp_path)["DataWait"]
    assert found is not None and found.seconds == pytest.approx(14) and found.money == pytest.approx(0.014)


def test_epochs_that_brought_nothing_cost_their_time(tmp_path: Path) -> None:
    losses = [2.0, 1.0, *[0.9] * 10]
    write(tmp_path, [job(), *course(losses, losses), done()])
    found = costs(tmp_path)["Overtraining"]
    assert found is not None and found.seconds == pytest.approx(18) and found.money == pytest.approx(0.018)


def test_findings_on_the_model_cost_no_time(tmp_path: Path) -> None:
    folder, rules = cases.CASES["two classes that look alike"]
    assert costs(folder(tmp_path)) == dict.fromkeys(rules)


def test_without_a_price_the_time_is_known_and_no_money_is_made_up(tmp_path: Path) -> None:
    found = costs(idle(tmp_path), None)["LowGPUUtilization"]
    assert found is not None and found.money is None and found.seconds == pytest.approx(290.5, abs=0.1)
    report = make(tmp_path)
    assert "USD" not in json.dumps(report.headline)
    assert any("--price 0.736" in sentence for section in report.sections for sentence in section.missing)


def test_the_command_says_what_was_lost_and_the_page_too(tmp_path: Path) -> None:
    ran = byoc("report", idle(tmp_path), "--price", "3.6")
    assert ran.returncode == 0, ran.stderr
    assert "the worst: a GPU waits for the processor, which cost about 0.30 USD." in ran.stdout
    assert "It cost about 0.29 USD (4.8 min). A GPU is paid for by the hour" in ran.stdout
    page = (tmp_path / "report.html").read_text()
    assert "<strong>Cost:</strong> about 0.29 USD (4.8 min)" in page
    assert "about 0.30 USD (5.0 min), at 3.6 USD an hour (--price)" in page
    facts = json.loads((tmp_path / "report.json").read_text())
    assert facts["judged"][0]["cost"]["money"] == pytest.approx(0.2995)


def test_a_healthy_run_with_a_price_says_what_the_job_cost(tmp_path: Path) -> None:
    report = make(write(tmp_path, healthy()), PRICE)
    job_facts = dict(next(section for section in report.sections if section.id == "job").facts)
    assert job_facts["Cost"] == "about 0.01 USD (10 s), at 3.6 USD an hour (--price)"


def test_a_price_beside_two_runs_is_refused_in_one_sentence(tmp_path: Path) -> None:
    folder = write(tmp_path, healthy())
    ran = byoc("report", folder, folder, "--price=1")
    assert ran.returncode == 1 and ran.stderr.startswith(
        "byoc: a comparison of two runs takes no --endpoint, --follow or --price"
    )


@pytest.mark.parametrize("price", ["0", "-1", "nan", "1e9"])
def test_an_impossible_price_is_refused_in_one_sentence(tmp_path: Path, price: str) -> None:
    ran = byoc("report", write(tmp_path, healthy()), f"--price={price}")
    assert ran.returncode == 1 and ran.stderr.startswith("byoc: --price") and len(ran.stderr.splitlines()) == 1
