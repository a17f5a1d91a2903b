"""`CacheStats`: the figures of a cache."""

from __future__ import annotations

from dataclasses import dataclass, fields

from store.cache.options import Policy


@dataclass(frozen=True, slots=True)
class CacheStats:
    """Figures of a cache; sizes are in bytes. Hits, misses and evictions are those of all processes."""

    hits: int
    """Reads of a value that found it, since `reset_stats`: `in`, iterating and views are not counted."""
    misses: int
    evictions: int
    """Records that the policy chose; those that had expired, and those that the program deleted, are not counted."""
    records: int
    bytes: int
    """What `max_bytes` bounds: in a file the pages in use and the files of large values, of all its namespaces."""
    max_bytes: int | None
    max_records: int | None
    policy: Policy
    log_bytes: int
    """The log of commits that are not folded into the file yet; `store compact` folds it."""
    free_bytes: int
    """Pages of the file that hold nothing, and are used before the file grows; `store compact` gives them back."""
    eviction_error: str | None
    """Why this `Cache` could not evict at its last attempt, if so; its next write tries again."""

    @property
    def hit_rate(self) -> float | None:
        """Hits as a share of all reads, from 0.0 to 1.0; None before the first read."""
        reads = self.hits + self.misses
        return self.hits / reads if reads else None

    def _repr_html_(self) -> str:
        """The figures as a table, for notebooks."""
        from store.display.notebook import card, figures

        rate = "no reads" if self.hit_rate is None else f"{self.hit_rate:.1%}"
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return card(type(self).__name__, [("hit rate", rate), *figures(found)])
