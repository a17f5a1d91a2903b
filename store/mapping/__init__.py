"""`Store`: the mapping, and its views."""

from store.mapping.store import Store as Store
