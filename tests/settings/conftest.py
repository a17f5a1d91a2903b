"""pydantic is loaded before any test stops the clock: what it loads meanwhile would know the stopped classes of dates."""

from contextlib import suppress

with suppress(ImportError):
    import pydantic._internal._generate_schema  # noqa: F401
