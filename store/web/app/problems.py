"""Errors as pages, which say what to do. No page has a traceback: it would show paths, and text out of the store."""

from __future__ import annotations

import logging
import traceback

from store.display.text import visible
from store.errors import StoreError
from store.web.pages import problem
from store.web.parts.tables import notice
from store.web.site import Page

log = logging.getLogger("store.web")


def problem_page(error: Exception) -> Page:
    """The page for an error that no page has handled; one that is not of the store is logged."""
    if isinstance(error, StoreError):
        return problem.problem_page(error)
    if isinstance(error, MemoryError):
        return Page("Too large", notice("error", "There is not enough memory to show this page."), status=500)
    log_mistake(error)
    reason = f"A {type(error).__name__} stopped it, which is a mistake in the program `store web`."
    advice = "Its terminal shows where; please report it. After a form, look at the record before you send it again."
    return Page("The page could not be made", notice("error", f"{reason} {advice}"), status=500)


def log_mistake(error: Exception) -> None:
    """Show an error of the program, with its traceback, where the program runs."""
    log.error("%s", visible("".join(traceback.format_exception(error)), keep="\n"))
