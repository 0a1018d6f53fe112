"""A job's metrics: finds them in each log line by regular expressions, and puts them into moto's CloudWatch."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.models import Statistics, cloudwatch_backends

from local_test.sagemaker.settings import ACCOUNT

TRAINING = "/aws/sagemaker/TrainingJobs"
PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?|100)")


@dataclass(frozen=True)
class Point:
    """A metric's value at one moment."""

    name: str
    value: float
    time: float


class MetricReader:
    """Finds the values of a job's metrics in its log lines."""

    def __init__(self, definitions: Sequence[Mapping[str, str]]) -> None:
        self._patterns = [(entry["Name"], re.compile(entry["Regex"])) for entry in definitions]

    def read(self, line: str) -> list[Point]:
        """Return the values in a line: for each pattern that matches, its first group, if that is a number."""
        points = []
        for name, pattern in self._patterns:
            match = pattern.search(line)
            if match and match.re.groups:
                try:
                    points.append(Point(name, float(match[1]), time.time()))
                except (TypeError, ValueError):
                    continue
        return points


def final(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Return the last value of each metric, in the form of FinalMetricDataList."""
    last = {point.name: point for point in points}
    return [{"MetricName": name, "Value": point.value, "Timestamp": point.time} for name, point in last.items()]


class Metrics:
    """The metrics of one region in CloudWatch."""

    def __init__(self, region: str) -> None:
        self._region = region

    def put(self, namespace: str, dimensions: Mapping[str, str], points: Sequence[Point]) -> None:
        if not points:
            return
        named = [{"Name": name, "Value": value} for name, value in dimensions.items()]
        data = [
            {
                "MetricName": point.name,
                "Value": point.value,
                # The time has no time zone, because moto's own times have none.
                "Timestamp": datetime.fromtimestamp(point.time, UTC).replace(tzinfo=None),
                "Dimensions": named,
            }
            for point in points
        ]
        cloudwatch_backends[ACCOUNT][self._region].put_metric_data(namespace, data)


def _with_percentiles(known: Callable[[Statistics, str], Any]) -> Callable[[Statistics, str], Any]:
    """Return moto's function for statistics, extended by percentiles. For these moto itself fails with status 500."""

    def statistic(self: Statistics, name: str) -> Any:
        match = PERCENTILE.fullmatch(name)
        if match is None:
            return known(self, name)
        values = sorted(self.metric_single_values_list)
        place = (len(values) - 1) * float(match[1]) / 100
        below = int(place)
        above = min(below + 1, len(values) - 1)
        return values[below] + (place - below) * (values[above] - values[below])

    return statistic


Statistics.get_statistics_for_type = _with_percentiles(Statistics.get_statistics_for_type)
