"""Makes HTML from the page's values. Jinja escapes all of them, because a key, a log line or a reason may be hostile."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from werkzeug.wrappers import Response

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
# The page runs no script, cannot be shown in a frame, and its forms go only to this server.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": POLICY}


def html(template: str, **values: Any) -> Response:
    return Response(
        TEMPLATES.get_template(template).render(values), 200, HEADERS, content_type="text/html; charset=utf-8"
    )


def plain(content: str, status: int = 200) -> Response:
    return Response(content, status, HEADERS, content_type="text/plain; charset=utf-8")
