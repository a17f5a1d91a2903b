"""What an error of the driver says of an attempt: whether the command may have been done, and may be repeated."""

from __future__ import annotations

import redis
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    ReadOnlyError,
    RedisClusterException,
    TryAgainError,
)  # fmt: skip

from store.engines.redis.scripts.script import CONFLICT, LEASED, UNKNOWN


class Lost(Exception):
    """A connection was lost after a command was sent on it, so it may have been done."""


DRIVER_ERRORS = (redis.RedisError, RedisClusterException, OSError, Lost)
_LATER = ("TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY", "BUSY", "NOREPLICAS", "UNBLOCKED")
_AFTER_SEARCH = (CONFLICT, LEASED, UNKNOWN)
"""Refusals of scripts that look for their token first: the attempts before were not done, or it says UNKNOWN."""


def is_unanswered(error: BaseException) -> bool:
    """Whether the server did not answer, so that a command that was sent may have been done."""
    return not isinstance(
        error,
        redis.ResponseError | BusyLoadingError | AuthenticationError | AuthorizationError | RedisClusterException,
    )


def is_of_all_attempts(error: BaseException) -> bool:
    """Whether the server's answer also tells that the attempts before this one were not done."""
    return isinstance(error, redis.ResponseError) and str(error).startswith(_AFTER_SEARCH)


def can_repeat(error: BaseException) -> bool:
    """Whether another attempt may succeed: a connection failed, or the server refused a command for now."""
    if isinstance(error, AuthenticationError | AuthorizationError):
        return False
    if isinstance(error, redis.ResponseError):
        return is_temporary(error)
    return isinstance(error, redis.ConnectionError | redis.TimeoutError | RedisClusterException | OSError)


def is_temporary(error: redis.ResponseError) -> bool:
    """Whether the server refused a command for now, and did nothing."""
    return isinstance(
        error, TryAgainError | ClusterDownError | ReadOnlyError | AskError
    ) or str(error).startswith(_LATER)  # fmt: skip


def is_of_topology(error: BaseException) -> bool:
    """Whether another node may have the key now."""
    return not isinstance(error, redis.ResponseError | BusyLoadingError) or isinstance(
        error, MovedError | ReadOnlyError | ClusterDownError
    )
