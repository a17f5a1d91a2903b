"""A sample as texts: the figures of a frame, and the object of `--json`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from store.care.survey import Survey
from store.cli.output.json_output import as_json
from store.cli.output.terminal import shown_place
from store.cli.top.sample import Rates, Sample
from store.display.units import age_text, size_text
from store.rows.record import Record

UNKNOWN = "-"

Fact = tuple[str, str]
"""A label and its text."""


def activity_facts(sample: Sample) -> list[Fact]:
    """What programs do: the rates, and how many reads a cache answered."""
    rates = sample.rates
    return [
        ("reads/s", _rate(rates.reads)),
        ("from cache", _hit_share(rates)),
        ("writes/s", _rate(rates.writes)),
        ("lock waits/s", _rate(rates.lock_waits)),
        ("average wait", _average_wait(rates)),
        ("waiting now", _count(sample.activity.waiting)),
    ]


def storage_facts(sample: Sample) -> list[Fact]:
    """What is stored, and the space that it takes."""
    found, usage = sample.survey, sample.usage
    expired = dict(found.expiries).get("expired", 0)
    facts = [
        ("records", _count(found.records) + ("" if found.complete else "+")),
        ("size", size_text(found.bytes)),
        ("namespaces", _count(len(found.namespaces))),
        ("data", size_text(usage.data_bytes)),
        ("WAL", size_text(usage.log_bytes)),
        ("expired", _count(expired)),
    ]
    if usage.log_pinned_bytes or usage.log_pinned_by is not None:
        by = "" if usage.log_pinned_by is None else f" by {usage.log_pinned_by}"
        facts.append(("WAL pinned", size_text(usage.log_pinned_bytes or 0) + by))
    if found.damaged:
        facts.append(("damaged", _count(found.damaged)))
    return facts


def record_lists(sample: Sample) -> list[tuple[str, list[tuple[str, str]]]]:
    """The lists of records: a heading, and for each record a text and its name, which may hold anything printable."""
    found, now = sample.survey, sample.now
    lists: list[tuple[str, list[Record], Callable[[Record], str]]] = [
        ("largest", found.largest, lambda record: size_text(record.size)),
        ("newest", found.newest, lambda record: age_text(record.modified, now)),
        ("soon to expire", found.soonest, lambda record: age_text(record.expires, now)),
    ]
    return [
        (heading, [(text(record), shown_place(record.namespace, record.name)) for record in records])
        for heading, records, text in lists
    ]


def as_object(location: str, sample: Sample) -> dict[str, Any]:
    """The object of `--json`."""
    usage, found = sample.usage, sample.survey
    return {
        "path": location,
        "time": datetime.fromtimestamp(sample.now, UTC).isoformat(),
        "activity": sample.activity._asdict(),
        "per_second": asdict(sample.rates),
        "data_bytes": usage.data_bytes,
        "wal_bytes": usage.log_bytes,
        "wal_pinned_bytes": usage.log_pinned_bytes,
        "wal_pinned_by": usage.log_pinned_by,
        **_survey_object(found),
    }


def _survey_object(found: Survey) -> dict[str, Any]:
    lists = {"largest": found.largest, "newest": found.newest, "soonest": found.soonest}
    return asdict(found) | {
        "expiries": dict(found.expiries),
        **{name: [as_json(record) for record in records] for name, records in lists.items()},
    }


def _rate(rate: float | None) -> str:
    if rate is None:
        return UNKNOWN
    return f"{rate:,.0f}" if rate >= 10 or rate == 0 else f"{rate:.1f}"


def _count(count: int | None) -> str:
    return UNKNOWN if count is None else f"{count:,}"


def _hit_share(rates: Rates) -> str:
    if rates.hits is None or not rates.reads:
        return UNKNOWN
    return f"{min(1.0, rates.hits / rates.reads):.0%}"


def _average_wait(rates: Rates) -> str:
    if rates.lock_wait_seconds is None or not rates.lock_waits:
        return UNKNOWN
    return f"{rates.lock_wait_seconds / rates.lock_waits * 1000:,.1f} ms"
