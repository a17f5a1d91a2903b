"""Messages between processes: values over a stream, sealed and read with restraint."""

from store.messages.stream import MAX_BYTES, receive, receive_async, send, send_async

__all__ = ["MAX_BYTES", "receive", "receive_async", "send", "send_async"]
