"""`Alarm`: ends the wait of a watch, from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Alarm:
    """What a watch waits for. It has no reference to the watch, which is collected while others keep its alarm."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.wake_loop: Callable[[], object] = nothing
        """Wakes the event loop that waits."""

    def ring(self) -> None:
        """End the wait: look again, or find that the watch was closed."""
        self.event.set()
        try:
            self.wake_loop()
        except RuntimeError:  # the loop has ended
            pass


def nothing() -> None:
    """Wakes no event loop, while none waits."""
