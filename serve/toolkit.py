"""The rules of sagemaker-inference 1.10.1, for which a code/inference.py is written: how it calls functions, and its defaults.

The toolkit itself is not used, because its decoder unpickles what a client sends, and because it would install boto3 and scipy.
tests/serve/test_toolkit_rules.py sends the same requests to the toolkit's Transformer and to ours and compares the answers.
"""

import inspect
import io
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from classifier.errors import UserError
from serve.formats import RequestError, media_type

JSON, CSV, NPY, NPZ = "application/json", "text/csv", "application/x-npy", "application/x-npz"
UTF8_TYPES = (JSON, CSV)


class Unsupported(UserError):
    """The request has a type that the code cannot read (status 415), or asks for one that it cannot write (406)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def takes_context(function: Callable[..., Any], count: int) -> bool:
    """Return whether a function has a parameter for the context after `count` others; raises TypeError for any other number."""
    takes = len(inspect.signature(function).parameters)
    if takes not in (count, count + 1):
        name = getattr(function, "__name__", "it")
        raise TypeError(f"{name} takes {takes} arguments; it is called with {count}, or {count + 1} with context")
    return takes == count + 1


def read_text(body: bytes, content_type: str | None) -> bytes | str:
    """Return a body in the form that functions get: JSON and CSV as text, all other types as bytes.

    Raises RequestError for text that is not UTF-8.
    """
    if media_type(content_type) not in UTF8_TYPES:
        return body
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise RequestError(
            f"the body is not UTF-8, as {content_type} must be ({error.reason} at {error.start})"
        ) from error


def default_input(body: bytes | str, content_type: str | None) -> Any:
    """Return the array in a JSON, CSV, NPY or NPZ body; NPY is read without unpickling.

    Raises Unsupported for another type, and RequestError for a body that is not valid.
    """
    kind = media_type(content_type)
    if kind not in _DECODERS:
        raise Unsupported(
            415,
            f"Content-Type {content_type!r} takes an input_fn in the model's code; without it send one of {_list(_DECODERS)}",
        )
    try:
        return _DECODERS[kind](body)
    except (MemoryError, Unsupported):
        raise
    except Exception as error:  # numpy raises many types
        message = " ".join(str(error).split())[:200]
        raise RequestError(f"the body is not valid {kind} ({type(error).__name__}: {message})") from error


def default_output(prediction: Any, accept: str) -> tuple[bytes | str, str]:
    """Return a prediction as JSON, CSV or NPY, by the first of these in `accept`, and its type; raises Unsupported for other types."""
    for part in accept.split(","):
        kind = media_type(part)
        kind = JSON if kind in ("*/*", "application/*") else CSV if kind == "text/*" else kind
        if kind in _ENCODERS:
            return _ENCODERS[kind](prediction), kind
    raise Unsupported(
        406,
        f"Accept {accept[:100]!r} takes an output_fn in the model's code; without it ask for one of {_list(_ENCODERS)}",
    )


def to_bytes(result: Any) -> bytes:
    """Return a function's result as the bytes of an answer: bytes and text unchanged, everything else as JSON."""
    if isinstance(result, bytes | bytearray | memoryview):
        return bytes(result)
    return (result if isinstance(result, str) else _to_json(result)).encode()


def refusal(error: BaseException) -> tuple[int, str] | None:
    """Return the status and message that an error of the toolkit carries, or None for any other error."""
    known = sys.modules.get("sagemaker_inference.errors")  # code that raises one of these errors has imported them
    if known is None:
        return None
    if isinstance(error, known.UnsupportedFormatError):
        return 415, " ".join(str(error).split())
    if isinstance(error, known.BaseInferenceToolkitError):
        status = error.status_code
        return (int(status) if isinstance(status, int) and 400 <= status < 600 else 500), str(error.message)
    return None


def forbid_pickles() -> None:
    """Make the toolkit's own decoder, which the code may import, read arrays without unpickling."""
    try:
        from sagemaker_inference import decoder
    except ImportError:  # installed in the image, but not in every environment
        return
    decoder._decoder_map[NPY] = _from_npy


def _from_json(body: bytes | str) -> Any:
    return np.array(json.loads(body))


def _from_csv(body: bytes | str) -> Any:
    return np.genfromtxt(io.StringIO(body if isinstance(body, str) else body.decode()), dtype=None, delimiter=",")


def _from_npy(body: bytes | str) -> Any:
    return np.load(io.BytesIO(body if isinstance(body, bytes) else body.encode()), allow_pickle=False)


def _from_npz(body: bytes | str) -> Any:
    try:
        import scipy.sparse
    except ImportError as error:
        raise Unsupported(415, f"Content-Type {NPZ} takes the package scipy, which is not installed") from error
    return scipy.sparse.load_npz(io.BytesIO(body if isinstance(body, bytes) else body.encode()))


def _to_json(value: Any) -> str:
    return json.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # arrays, their numbers, tensors
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON; write an output_fn")


def _to_csv(value: Any) -> str:
    stream = io.StringIO()
    np.savetxt(stream, _array(value), delimiter=",", fmt="%s")
    return stream.getvalue()


def _to_npy(value: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, _array(value), allow_pickle=False)
    return stream.getvalue()


def _array(value: Any) -> Any:
    return value.detach().cpu() if hasattr(value, "detach") else value  # a tensor may need a gradient or be on a GPU


def _list(table: dict[str, Any]) -> str:
    return ", ".join(table)


_DECODERS: dict[str, Callable[[bytes | str], Any]] = {JSON: _from_json, CSV: _from_csv, NPY: _from_npy, NPZ: _from_npz}
_ENCODERS: dict[str, Callable[[Any], bytes | str]] = {JSON: _to_json, CSV: _to_csv, NPY: _to_npy}
