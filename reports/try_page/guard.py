"""Decides which requests the page's server accepts: only those of its own page, from people who have the address with the token.

Three checks keep other web pages and other people out. The token is new at each start and is sent in the header X-Byoc-Token, which
a browser lets no page of another origin set. `Origin` must be this server. `Host` must be an IP address or localhost, because another
page's host name could resolve to this server (DNS rebinding).
"""

import ipaddress
import secrets
from email.message import Message
from http import HTTPStatus
from urllib.parse import urlsplit

TOKEN = "X-Byoc-Token"
LARGEST = 25_000_000  # bytes of a photo; SageMaker's endpoints and, by default, our server refuse larger requests
STRANGER = "this address lacks the token, or has an old one; open the address that byoc try printed"


class Refusal(Exception):
    """Raised for a request that is refused. Holds the HTTP status and one sentence."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def check_host(headers: Message) -> None:
    """Raise Refusal if the header Host is not an IP address or localhost."""
    named = headers.get("Host", "")
    try:
        host = urlsplit(f"//{named}").hostname or ""
        if host != "localhost":
            ipaddress.ip_address(host)
    except ValueError:
        raise Refusal(
            HTTPStatus.FORBIDDEN,
            f"{named[:100]!r} is not an IP address or localhost; open the address that byoc try printed",
        ) from None


def check_token(given: str, token: str) -> None:
    """Raise Refusal if the given token is not the token of this start."""
    if not secrets.compare_digest(given.encode(errors="replace"), token.encode()):
        raise Refusal(HTTPStatus.FORBIDDEN, STRANGER)


def check_post(headers: Message, token: str) -> int:
    """Return the length of a POST's body. Raises Refusal for a request that comes from another page, lacks the token or is too long."""
    if headers.get("Origin", "") != f"http://{headers.get('Host', '')}":
        raise Refusal(
            HTTPStatus.FORBIDDEN, "this request comes from another page; only the page of byoc try may send it"
        )
    check_token(headers.get(TOKEN, ""), token)
    length = headers.get("Content-Length", "")
    if not (length.isascii() and length.isdigit()) or headers.get("Transfer-Encoding"):
        raise Refusal(HTTPStatus.LENGTH_REQUIRED, "the request does not say how long it is; send Content-Length")
    if int(length[:15]) > LARGEST:
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, too_large(int(length[:15])))
    if int(length) == 0:
        raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "the file is empty; choose a photo")
    return int(length)


def too_large(size: int) -> str:
    """Return the sentence that refuses a photo of `size` bytes."""
    return f"{size / 1e6:.1f} MB are over the limit of {LARGEST // 1_000_000} MB; make the photo smaller"
