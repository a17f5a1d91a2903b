"""`form_of`: the fields of a form, from a body of limited size."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

MOST_BYTES = 16 * 1024 * 1024
MOST_FIELDS = 1000
MOST_SECONDS = 120.0  # for the largest form, even over a slow line
FORM = "application/x-www-form-urlencoded"


class BadBody(Exception):
    """A body that is no form, or too large; `status` is that of the response."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def form_of(request: Request, seconds: float = MOST_SECONDS) -> dict[str, str]:
    """The fields of a form that comes within so many seconds; of several with one name, the last. Raises: BadBody."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != FORM:
        raise BadBody(415, f"A form is sent as {FORM}.")
    try:
        async with asyncio.timeout(seconds):
            body = await _bounded(request)
    except TimeoutError:
        raise BadBody(408, "The form did not come to its end in time, and nothing was done. Send it again.") from None
    return await run_in_threadpool(_fields, body)


async def _bounded(request: Request) -> bytes:
    """The body, of which never more than the limit is in memory."""
    limit = f"A form may have {MOST_BYTES // 1024**2} MiB; write larger values with `store set` or in a program."
    if int(request.headers.get("content-length", 0)) > MOST_BYTES:
        raise BadBody(413, limit)
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > MOST_BYTES:
                raise BadBody(413, limit)
    except ClientDisconnect:
        raise BadBody(400, "The form ended before its end.") from None
    return bytes(body)


def _fields(body: bytes) -> dict[str, str]:
    try:
        return dict(
            parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
        )
    except ValueError as exc:  # UnicodeError too
        raise BadBody(400, f"The form has more than {MOST_FIELDS} fields, or is not text in UTF-8.") from exc
