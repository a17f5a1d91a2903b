"""What one measure found: figures of each contestant by round, and what the table says beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .figures import Spread, ratios, spread


@dataclass
class Outcome:
    """`series` holds seconds per operation, one figure a round; `limit` is the label that ratios refer to."""

    measure: str
    title: str
    series: Mapping[str, list[float]]
    limit: str | None = None
    remarks: Mapping[str, str] = field(default_factory=dict)  # label → what its row says at the end
    lacking: tuple[str, ...] = ()  # labels of those that have no such operation

    def ratio(self, label: str, limit: str | None = None) -> Spread | None:
        """The spread of the ratios to `limit`, or else to its own; None where one of the two did not run."""
        limit = limit or self.limit
        if limit is None or limit not in self.series or label not in self.series:
            return None
        return spread(ratios(self.series[label], self.series[limit]))

    def fastest_first(self) -> list[str]:
        return sorted(self.series, key=lambda label: spread(self.series[label]).median)
