"""Messages between processes: sealed values over a stream, decoded by the restricted decoder."""

from store.messages.stream import MAX_BYTES, receive, receive_async, send, send_async

__all__ = ["MAX_BYTES", "receive", "receive_async", "send", "send_async"]
