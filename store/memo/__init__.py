"""`memo`: a decorator that keeps the results of a function in a store."""

from store.memo.decorator import CacheInfo, Memoized, memo

__all__ = ["CacheInfo", "Memoized", "memo"]
