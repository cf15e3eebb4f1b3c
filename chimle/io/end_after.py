"""A process that ends with the one that it works for."""

import os
import threading
from collections.abc import Callable


def end_after(wait: Callable[[], object]) -> None:
    """End this process, without any cleaning up, once `wait` has returned in a thread of its own.

    Args:
        wait: blocks for as long as the process that this one works for runs, which may be killed.
    """

    def end() -> None:
        wait()
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()
