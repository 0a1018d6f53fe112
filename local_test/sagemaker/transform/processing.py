"""Filters a model's input, and joins its answers with their records (G23 batch-transform-data-processing)."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from local_test.sagemaker.transform import json_path

CSV, JSON, LINES = "text/csv", "application/json", "application/jsonlines"
TYPES = (CSV, JSON, LINES)
INPUT, OUTPUT = "SageMakerInput", "SageMakerOutput"
csv.field_size_limit(100 << 20)  # bytes of the largest payload; Python's own limit for a field is 128 KB


class BadData(Exception):
    """Records or answers that cannot be filtered or joined; the text says why."""


def media_type(text: str | None) -> str:
    """Return a content type without its parameters."""
    return (text or "").partition(";")[0].strip().lower()


class Processing:
    """The DataProcessing of one job. If it has no filter and no join, every byte stays unchanged."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        wanted = request.get("DataProcessing") or {}
        self._input = json_path.parse(wanted.get("InputFilter") or "$")
        self._output = json_path.parse(wanted.get("OutputFilter") or "$")
        self._joins = wanted.get("JoinSource") == "Input"
        self._type = media_type(request["TransformInput"].get("ContentType"))
        split = request["TransformInput"].get("SplitType") == "Line"
        self._by_line = split or self._type == LINES

    def sent(self, records: Sequence[bytes]) -> list[bytes]:
        """Return the records in the form that the model gets; raises BadData."""
        if not self._input:
            return list(records)
        return [self._written(self._select(self._input, value)) for record in records for value in self._read(record)]

    def kept(self, records: Sequence[bytes], answer: bytes) -> bytes:
        """Return the output for the answer to some records; raises BadData."""
        if not self._joins and not self._output:
            return answer
        results = self._read(answer)
        if self._joins:
            originals = [value for record in records for value in self._read(record)]
            if len(originals) != len(results):
                raise BadData(
                    f"the model answered {len(results)} records to {len(originals)}, so they cannot be joined"
                )
            results = [self._joined(*pair) for pair in zip(originals, results, strict=True)]
        return b"\n".join(self._written(self._select(self._output, result)) for result in results)

    def _joined(self, original: Any, result: Any) -> Any:
        """Join a record and its result (API, DataProcessing.JoinSource)."""
        if self._type == CSV:
            return [*original, *result]
        if isinstance(original, dict):
            return {**original, OUTPUT: result}
        return {INPUT: original, OUTPUT: result}

    def _select(self, path: json_path.Path, value: Any) -> Any:
        try:
            return json_path.select(path, value)
        except json_path.NoMatch as error:
            raise BadData(str(error)) from None

    def _read(self, data: bytes) -> list[Any]:
        """Return the values in a text: one for each line, or the whole text."""
        try:
            text = data.decode()
            if self._type == CSV:
                return list(csv.reader(io.StringIO(text)))
            return [json.loads(line) for line in (text.splitlines() if self._by_line else [text]) if line.strip()]
        except (ValueError, csv.Error, RecursionError) as error:  # RecursionError: JSON that is nested a thousand times
            raise BadData(f"a record is not valid {self._type}: {error}") from None

    def _written(self, value: Any) -> bytes:
        if self._type != CSV:
            return json.dumps(value).encode()
        row = io.StringIO()
        csv.writer(row, lineterminator="").writerow(value if isinstance(value, list) else [value])
        return row.getvalue().encode()
