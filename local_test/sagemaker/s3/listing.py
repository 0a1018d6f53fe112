"""ListObjects and ListObjectsV2 from the index, a page at a time; moto would look at every object for each page."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote
from xml.sax.saxutils import escape

from local_test.sagemaker.errors import ApiError
from local_test.sagemaker.s3.index import Index, Row

MOST = 1000  # the most keys of a page (API reference, ListObjectsV2)
LAST = "\U0010ffff"  # sorts after every character of a key
# Parameters that we answer in a listing; moto answers requests with other parameters, such as ?versions.
KNOWN = {
    "list-type",
    "prefix",
    "delimiter",
    "max-keys",
    "encoding-type",
    "start-after",
    "continuation-token",
    "fetch-owner",
    "marker",
    "x-id",
}


@dataclass(frozen=True)
class Page:
    """A page of a listing: objects and common prefixes in order, and whether more follow."""

    rows: list[Row]
    folders: list[str]
    last: str  # key or prefix of the page's last entry
    truncated: bool


def page(index: Index, bucket: str, prefix: str, delimiter: str, after: str, most: int) -> Page:
    """Return the entries that follow `after`, which is a key, or a common prefix whose keys were all shown."""
    rows: list[Row] = []
    folders: list[str] = []
    last = after
    if delimiter and after.startswith(prefix) and after.endswith(delimiter) and after != prefix:
        after += LAST
    while len(rows) + len(folders) <= most:
        found = index.page(bucket, prefix, after, most + 1 - len(rows) - len(folders))
        if not found:
            return Page(rows=rows, folders=folders, last=last, truncated=False)
        for row in found:
            rest = row.key[len(prefix) :]
            folder = prefix + rest.partition(delimiter)[0] + delimiter if delimiter and delimiter in rest else ""
            if len(rows) + len(folders) == most:
                return Page(rows=rows, folders=folders, last=last, truncated=True)
            if folder:
                folders.append(folder)
                last, after = folder, folder + LAST
                break
            rows.append(row)
            last = after = row.key
    return Page(rows=rows, folders=folders, last=last, truncated=False)


def answer(index: Index, bucket: str, parameters: Mapping[str, str]) -> str:
    """Return the XML of a listing; raises ApiError for parameters that S3 refuses."""
    two = parameters.get("list-type") == "2"
    most = _most(parameters.get("max-keys", str(MOST)))
    prefix, delimiter = parameters.get("prefix", ""), parameters.get("delimiter", "")
    start = (
        _token(parameters["continuation-token"])
        if "continuation-token" in parameters
        else parameters.get("start-after", "")
    )
    after = start if two else parameters.get("marker", "")
    found = (
        page(index, bucket, prefix, delimiter, after, most)
        if most
        else Page(rows=[], folders=[], last="", truncated=False)
    )
    url = parameters.get("encoding-type") == "url"

    def text(value: str) -> str:
        return quote(value, safe="/") if url else escape(value)

    owner = "<Owner><ID>local</ID></Owner>" if not two or parameters.get("fetch-owner") == "true" else ""
    parts = [f"<Name>{bucket}</Name><Prefix>{text(prefix)}</Prefix><MaxKeys>{most}</MaxKeys>"]
    parts += [f"<Delimiter>{text(delimiter)}</Delimiter>"] if delimiter else []
    parts += ["<EncodingType>url</EncodingType>"] if url else []
    parts.append(f"<IsTruncated>{str(found.truncated).lower()}</IsTruncated>")
    if two:
        parts.append(f"<KeyCount>{len(found.rows) + len(found.folders)}</KeyCount>")
        for name, element in (("continuation-token", "ContinuationToken"), ("start-after", "StartAfter")):
            parts += [f"<{element}>{text(parameters[name])}</{element}>"] if name in parameters else []
        if found.truncated:
            parts.append(f"<NextContinuationToken>{_tokened(found.last)}</NextContinuationToken>")
    else:
        parts.append(f"<Marker>{text(after)}</Marker>")
        parts += [f"<NextMarker>{text(found.last)}</NextMarker>"] if found.truncated and delimiter else []
    for row in found.rows:
        moment = datetime.fromtimestamp(row.modified, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        kind = row.more.get("_storage_class", "STANDARD")
        parts.append(
            f"<Contents><Key>{text(row.key)}</Key><LastModified>{moment}</LastModified><ETag>&quot;{row.etag}&quot;</ETag>"
            f"<Size>{row.size}</Size>{owner}<StorageClass>{kind}</StorageClass></Contents>"
        )
    parts += [f"<CommonPrefixes><Prefix>{text(folder)}</Prefix></CommonPrefixes>" for folder in found.folders]
    body = "".join(parts)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{body}</ListBucketResult>'


def _most(text: str) -> int:
    if not text.isdigit():
        raise ApiError("InvalidArgument", f"max-keys is '{text}'; write a number from 0 on")
    return min(int(text), MOST)


def _tokened(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _token(text: str) -> str:
    try:
        return base64.b64decode(text.encode(), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise ApiError("InvalidArgument", "The continuation token provided is incorrect") from None
