"""SIGTERM and Ctrl-C always end a job: by unwinding, or by force where something holds it up."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["GRACE", "ends_on_signals"]

GRACE = 8.0  # seconds to remove temporary files and to save a fitted model
SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def ends_on_signals() -> Iterator[None]:
    """End the process when SIGTERM or SIGINT comes while the block runs.

    The block unwinds by `SystemExit`, with 128 and the number of the signal as exit code. If the
    process is still there after ``GRACE`` seconds, because a library swallows the exception or a
    call into one does not return, or if a second signal comes, it ends on the spot. What a run
    leaves behind that ends this way, the next one removes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    ended = threading.Event()
    threading.Thread(target=_watch, args=(receiver, ended), daemon=True).start()
    before = [(number, signal.signal(number, _unwind)) for number in SIGNALS]
    wakeup = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before:
            signal.signal(number, handler)
        ended.set()
        sender.close()


def _unwind(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _watch(receiver: socket.socket, ended: threading.Event) -> None:
    """Wait for a signal, which Python's own handlers see only between two calls of libraries."""
    with receiver:
        while number := receiver.recv(1):
            if number[0] in SIGNALS:
                break
        else:
            return
        receiver.settimeout(GRACE)
        try:
            receiver.recv(1)  # another signal, or the end of the block
        except TimeoutError:
            pass
        if not ended.is_set():
            os._exit(128 + number[0])
