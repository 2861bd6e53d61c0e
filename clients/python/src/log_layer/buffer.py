"""The bounded buffer between the program's threads and the shipper.

Promises: adding never waits for anything but a few lines of Python; buffered and in-flight records together never exceed
the bytes that are set; mild levels are refused before severe ones; every refused record is counted; numbers are
contiguous over the accepted ones.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Callable, Deque, Dict, List, NamedTuple, Optional, Tuple

from .encode import Site

#: What a record costs besides its text.
_OVERHEAD = 200


class Entry(NamedTuple):
    seq: int
    nanoseconds: int
    site: Site
    body: bytes


class Report(NamedTuple):
    """What a flush achieved; counts since the process began to log."""

    stored: int
    still_buffered: int
    dropped: int


@dataclass
class Stats:
    """What became of the records: each is stored, dropped, or on its way."""

    accepted: int = 0
    stored: int = 0
    #: Accepted records that were given up later; counted in ``dropped`` as well.
    given_up: int = 0
    #: Batches that were sent again because the first sending may have been lost.
    resent: int = 0
    buffered_bytes: int = 0
    #: By level and reason.
    dropped: Dict[Tuple[str, str], int] = field(default_factory=dict)
    last_error: Optional[str] = None


class Buffer:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: Deque[Entry] = deque()
        self._next = 1
        self._settled = 0
        self._stats = Stats()
        # [count, first, last] by level and reason.
        self._undeclared: Dict[Tuple[str, str], List[int]] = {}
        self._declarable = 0
        self._declared = 0
        self._watchers: List[Tuple[int, int, Callable[[], None]]] = []
        self._flushing = 0
        self.closed: Optional[str] = None
        #: The server wants nothing milder; as ``logging`` numbers levels.
        self.quiet_below = 0
        #: Guards everything here. What waits on it: the shipper for records, whoever flushes for the end of batches.
        self.lock = threading.Condition(threading.Lock())
        self.called = False

    def refuses(self, level: str) -> bool:
        """Whether a record of this level is certain to be refused; asked before it is made into JSON."""
        return self.closed is not None or self._stats.buffered_bytes >= self._room(level)

    def add(self, nanoseconds: int, site: Site, body: bytes) -> None:
        cost = len(body) + _OVERHEAD
        with self.lock:
            if self.closed is not None or self._stats.buffered_bytes + cost > self._room(site[0]):
                return self._count(site[0], "full", 1, nanoseconds)
            self._waiting.append(Entry(self._next, nanoseconds, site, body))
            self._next += 1
            self._stats.accepted += 1
            self._stats.buffered_bytes += cost
            if site[0] == "error" and not self.called:
                self.called = True
                self.lock.notify_all()

    def refuse(self, level: str, reason: str) -> None:
        with self.lock:
            self._count(level, reason, 1, time.time_ns())

    def take(self, max_bytes: int, max_records: int) -> List[Entry]:
        """The oldest records that fit into one batch; at least one, if there is any."""
        taken: List[Entry] = []
        size = 0
        with self.lock:
            while self._waiting and len(taken) < max_records:
                size += len(self._waiting[0].body) + _OVERHEAD
                if taken and size > max_bytes:
                    break
                taken.append(self._waiting.popleft())
        return taken

    def wait(self, seconds: float) -> None:
        """Until somebody is in a hurry, at most for so long."""
        with self.lock:
            if not self.called:
                self.lock.wait(seconds)
            self.called = False

    def wake(self) -> None:
        with self.lock:
            self.called = True
            self.lock.notify_all()

    def close(self, reason: str) -> None:
        """Refuses everything from now on, and lets go of what was buffered."""
        with self.lock:
            self.closed = self.closed or reason
            self._waiting.clear()
            self.lock.notify_all()

    def is_flushing(self) -> bool:
        return self._flushing > 0

    def has_work(self) -> bool:
        return bool(self._waiting or self._undeclared)

    def take_undeclared(self) -> Dict[Tuple[str, str], List[int]]:
        with self.lock:
            taken, self._undeclared = self._undeclared, {}
        return taken

    def declare_again(self, drops: Dict[Tuple[str, str], List[int]]) -> None:
        with self.lock:
            for (level, reason), (count, first, last) in drops.items():
                self._tally(level, reason, count, first, last)

    def settle(self, entries: List[Entry], lost: Dict[int, str], declared: int) -> None:
        """These are stored, but for those lost, by their place and for a reason."""
        done: List[Callable[[], None]] = []
        with self.lock:
            for index, reason in lost.items():
                self._stats.given_up += 1
                self._count(entries[index].site[0], reason, 1, entries[index].nanoseconds)
            self._stats.stored += len(entries) - len(lost)
            self._stats.buffered_bytes -= sum(len(entry.body) + _OVERHEAD for entry in entries)
            self._declared += declared
            if entries:
                # One batch at a time, so they are settled in order.
                self._settled = max(self._settled, entries[-1].seq)
            for watcher in list(self._watchers):
                if self._is_due(watcher[0], watcher[1]):
                    self._watchers.remove(watcher)
                    done.append(watcher[2])
            self.lock.notify_all()
        for tell in done:
            tell()

    def flush(self, timeout: float) -> Report:
        deadline = time.monotonic() + timeout
        with self.lock:
            seq, declarable = self._hurry()
            try:
                while not self._is_due(seq, declarable):
                    left = deadline - time.monotonic()
                    if left <= 0:
                        break
                    self.lock.wait(left)
            finally:
                self._flushing -= 1
            return self._report()

    def when_flushed(self, tell: Callable[[], None]) -> None:
        """Has ``tell`` called, by any thread, when everything accepted so far is settled."""
        with self.lock:
            seq, declarable = self._hurry()

            def done() -> None:
                with self.lock:
                    self._flushing -= 1
                tell()

            if not self._is_due(seq, declarable):
                self._watchers.append((seq, declarable, done))
                return
        done()

    def note_error(self, error: str) -> None:
        self._stats.last_error = error

    def count_resend(self) -> None:
        self._stats.resent += 1

    def report(self) -> Report:
        with self.lock:
            return self._report()

    def stats(self) -> Stats:
        with self.lock:
            return Stats(**{**vars(self._stats), "dropped": dict(self._stats.dropped)})

    def _hurry(self) -> Tuple[int, int]:
        self._flushing += 1
        self.called = True
        self.lock.notify_all()
        return self._next - 1, self._declarable

    def _is_due(self, seq: int, declarable: int) -> bool:
        return self._settled >= seq and self._declared >= declarable

    def _report(self) -> Report:
        stats = self._stats
        left = stats.accepted - stats.stored - stats.given_up
        return Report(stats.stored, left, sum(stats.dropped.values()))

    def _room(self, level: str) -> int:
        if level in ("trace", "debug"):
            return self._limit // 2
        return self._limit // 5 * 4 if level == "info" else self._limit

    def _count(self, level: str, reason: str, count: int, nanoseconds: int) -> None:
        reason = self.closed or reason
        key = level, reason
        self._stats.dropped[key] = self._stats.dropped.get(key, 0) + count
        # After the end there is nobody left to tell.
        if self.closed is None:
            self._declarable += count
            self._tally(level, reason, count, nanoseconds, nanoseconds)

    def _tally(self, level: str, reason: str, count: int, first: int, last: int) -> None:
        known = self._undeclared.setdefault((level, reason), [0, first, last])
        known[0] += count
        known[1], known[2] = min(known[1], first), max(known[2], last)
