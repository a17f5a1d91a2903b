"""`memo`: the results of a function, kept in a store."""

from store.memo.decorator import CacheInfo, Memoized, memo

__all__ = ["CacheInfo", "Memoized", "memo"]
