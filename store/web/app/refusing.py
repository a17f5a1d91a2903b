"""`response_of`: a refusal as a response of plain text."""

from __future__ import annotations

from starlette.responses import PlainTextResponse

from store.web.app.door import Refusal


def response_of(refused: Refusal) -> PlainTextResponse:
    """A response with the status and the reason of a refusal."""
    return PlainTextResponse(f"{refused.reason}\n", refused.status)
