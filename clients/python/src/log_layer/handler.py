"""The handler: takes what ``logging`` gives it, and never makes the program wait."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sys
import threading
import weakref
from typing import Any, Awaitable, Optional, Union

from . import encode, shipper
from .batch import Sealer
from .buffer import Buffer, Report, Stats
from .settings import Settings
from .shipper import Shipper
from .wire import Wire

#: An event, a ``__str__`` in it that logs, and one in that: beyond this it is a cycle.
_DEPTH = 3

_inside = threading.local()

#: For forked children, which must not send their parent's records.
_handlers: "weakref.WeakSet[LogHandler]" = weakref.WeakSet()


class LogHandler(logging.Handler):
    """Ships records to the log server.

    ``settings`` are those of the environment (``LOG_LAYER_REDIS_URL`` …) if none are given; named ones, such as
    ``redis="redis://elsewhere"``, win over both.

    Logging takes some tens of microseconds, whatever Redis does: a thread of its own delivers. What is buffered is bounded; when
    it is full, mild records are refused before severe ones, and the server is told how many. ``logging`` flushes every
    handler at the end of the program; a process that is killed loses what it had not delivered.
    """

    def __init__(self, service: str, settings: Optional[Settings] = None, **named: Any) -> None:
        settings = settings or Settings.from_environment()
        for name, value in named.items():
            if name not in vars(settings):
                raise TypeError(f"there is no setting {name!r}")
            setattr(settings, name, value)
        self.service = service
        self.settings = settings.within_limits()
        super().__init__(self.settings.level)
        for problem in self.settings.problems:
            _say(problem)
        try:
            Wire(self.settings.redis, self.settings.queue)
            self._unusable = False
        except ValueError as error:
            self._unusable = True
            _say(f"nothing will be delivered: {error}")
        self._begin()
        _handlers.add(self)

    def _begin(self) -> None:
        """Everything that belongs to one process."""
        self._buffer = Buffer(self.settings.buffer_bytes)
        if self._unusable:
            self._buffer.close("misconfigured")
        self._start_lock = threading.Lock()
        self._shipper: Optional[Shipper] = None

    def createLock(self) -> None:
        """None: the buffer has its own, and holds it for a few lines of Python."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> Union[bool, logging.LogRecord]:
        # The inherited one takes the lock that is not there.
        passed = self.filter(record)
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        # What the transport logs would be about itself, for ever.
        if shipper.on_shipper() or not self.settings.enabled or record.levelno < self._buffer.quiet_below:
            return
        level = encode.level_name(record.levelno)
        depth = getattr(_inside, "depth", 0)
        if depth >= _DEPTH:
            return self._buffer.refuse(level, "recursion")
        if self._buffer.refuses(level):
            return self._buffer.refuse(level, "full")
        _inside.depth = depth + 1
        try:
            body = encode.body(record, self.settings.max_record_bytes)
            self._buffer.add(int(record.created * 1e9), encode.site(record), body)
        except Exception:  # Whatever it was, the program must not notice.
            self._buffer.refuse(level, "panicked")
        finally:
            _inside.depth = depth
        if self._shipper is None:
            self._start()

    def _start(self) -> None:
        with self._start_lock:
            if self._shipper is not None or self._buffer.closed:
                return
            sealer = Sealer(self.settings.source(self.service, secrets.token_hex(16)))
            starting = Shipper(self.settings, self._buffer, sealer)
            try:
                starting.start()
            except RuntimeError as error:  # No more threads, or the interpreter is ending.
                self._buffer.note_error(f"no thread for the shipper: {error}")
                return
            self._shipper = starting

    def flush(self, timeout: Optional[float] = None) -> Report:
        """Waits until everything logged so far is stored or given up, at most for ``timeout`` seconds."""
        return self._flush(timeout)

    def _flush(self, timeout: Optional[float]) -> Report:
        timeout = self.settings.flush_timeout if timeout is None else timeout
        if self._shipper is None or self._buffer.closed or shipper.on_shipper():
            return self._buffer.report()
        return self._buffer.flush(timeout)

    def close(self) -> None:
        """Flushes, and stops. What is logged later is counted as dropped."""
        report = self._flush(None)
        running, self._shipper = self._shipper, None
        already = self._buffer.closed
        self._buffer.close("after_shutdown")
        if running is not None:
            running.stop()
        lost = report.still_buffered + report.dropped
        if lost and not already:
            why = self.stats().last_error
            _say(f"{lost} records were not delivered" + (f"; the last error was: {why}" if why else ""))
        super().close()

    def stats(self) -> Stats:
        """Counts since the process began to log."""
        return self._buffer.stats()

    def report(self) -> Report:
        """What became of the records so far."""
        return self._buffer.report()


class AsyncLogHandler(LogHandler):
    """The same for asyncio: inside a running loop ``await handler.flush()`` waits without blocking the loop."""

    def flush(self, timeout: Optional[float] = None) -> Union[Report, Awaitable[Report]]:  # type: ignore[override]
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return self._flush(timeout)
        done: "asyncio.Future[None]" = loop.create_future()

        def tell() -> None:
            try:
                loop.call_soon_threadsafe(lambda: done.done() or done.set_result(None))
            except RuntimeError:
                pass  # The loop has ended, and whoever waited in it.

        if self._shipper is None or self._buffer.closed:
            done.set_result(None)
        else:
            self._buffer.when_flushed(tell)
        return _Flush(self, done, self.settings.flush_timeout if timeout is None else timeout)


class _Flush:
    """Awaitable, and no worse for not being awaited."""

    def __init__(self, handler: LogHandler, done: "asyncio.Future[None]", timeout: float) -> None:
        self._handler = handler
        self._done = done
        self._timeout = timeout

    def __await__(self) -> Any:
        return self._wait().__await__()

    async def _wait(self) -> Report:
        await asyncio.wait([self._done], timeout=self._timeout)
        return self._handler.report()


def _in_child() -> None:
    # Another thread may have held a lock, and the parent sends what it logged.
    for handler in list(_handlers):
        handler._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def _say(text: str) -> None:
    try:
        print(f"log-layer: {text}", file=sys.stderr)
    except Exception:
        pass  # Without a stderr there is nobody left to tell.
