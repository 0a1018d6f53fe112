"""Fetches /metrics of a server again and again, and keeps a bounded number of samples."""

import http.client
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from classifier.errors import ConfigError, DataError
from classifier.names import one_line
from reports.sources.endpoint import Endpoint
from reports.sources.endpoint_metrics import Sample, read_sample
from reports.sources.endpoint_samples import sampled_endpoint

TIMEOUT = 20.0  # seconds that a request may take; a server on a busy machine may pause for some
LONGEST = 8 * 2**20  # bytes; a longer answer is refused (those of our own server have a few thousand)
MOST = 600  # at most this many samples are kept


class Sampler:
    """Takes samples of one server, one for each call of `look`, and keeps them."""

    def __init__(self, url: str) -> None:
        self.url = address(url)
        self.problem = ""  # why the last request failed; empty if it succeeded
        self.answered = False  # True once /metrics was answered with status 200
        self._samples: list[Sample] = []
        self._failed = self._looks = 0
        self._stride = 1  # one of this many samples is kept

    def look(self) -> bool:
        """Take one sample; return False if the request failed."""
        self._looks += 1
        try:
            text = _fetch(f"{self.url}/metrics")
            self.answered = True
            sample = read_sample(text, time.time())
        except DataError as error:
            self._failed += 1
            self.problem = f"{self.url}/metrics {error}"
            return False
        self.problem = ""
        self._keep(sample)
        return True

    def endpoint(self) -> Endpoint:
        """Return the endpoint that the samples describe."""
        missing = []
        if self.problem:
            missing.append(f"{self.problem}.")
        if self._failed and self._looks > 1:
            missing.append(f"{self._failed} of {self._looks} requests for /metrics had no answer that could be read.")
        return sampled_endpoint(self.url, self._samples, missing)

    def _keep(self, sample: Sample) -> None:
        """Keep a sample. Above MOST samples, drop every second one and double the stride of later samples."""
        # The newest sample is always kept. The next sample replaces it if its number is not a multiple of the stride.
        if len(self._samples) > 1 and self._looks % self._stride:
            self._samples[-1] = sample
            return
        self._samples.append(sample)
        if len(self._samples) > MOST:
            self._samples = [*self._samples[::2][:-1], sample]
            self._stride *= 2


def address(text: str) -> str:
    """Return a server's address without a route such as /metrics. Raises ConfigError if the text is not an address."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not text.isascii() or not text.isprintable() or " " in text or "@" in text:
        raise ConfigError(f"--endpoint is {text!r}; write a server's address, as in http://127.0.0.1:8080")
    whole = text.partition("?")[0].partition("#")[0].rstrip("/")
    for part in ("/metrics", "/invocations", "/ping"):
        whole = whole.removesuffix(part)
    return whole.rstrip("/")


def _fetch(url: str) -> str:
    """Return the text of an answer. Raises DataError with the reason if there is no usable answer."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            body: bytes = answer.read(LONGEST + 1)
    except urllib.error.HTTPError as error:
        raise DataError(f"answered {error.code}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(f"did not answer ({one_line(str(reason) or type(error).__name__)[:200]})") from None
    if len(body) > LONGEST:
        raise DataError(f"answered more than {LONGEST // 2**20} MB")
    return body.decode("utf-8", errors="replace")
