"""Batches: records sealed as JSON text, once, under a number of their own. A resend is the same bytes."""

from __future__ import annotations

import time
from typing import Dict, List, NamedTuple, Tuple

from .buffer import Entry
from .encode import Site, dump

Drops = Dict[Tuple[str, str], List[int]]


class Batch(NamedTuple):
    text: bytes
    entries: List[Entry]
    drops: Drops

    def declared(self) -> int:
        return sum(count for count, _, _ in self.drops.values())


class Sealer:
    """Numbers and seals the batches of one run of a process."""

    def __init__(self, source: Dict[str, object]) -> None:
        self._source = dump(source)
        self._next = 1

    def seal(self, entries: List[Entry], drops: Drops) -> Batch:
        sites: Dict[Site, int] = {}
        records = []
        for entry in entries:
            number = sites.setdefault(entry.site, len(sites))
            head = b'{"seq":%d,"ts":%d,"callsite":%d' % (entry.seq, entry.nanoseconds, number)
            records.append(head + entry.body + b"}")
        callsites = [
            {"target": target, "file": file, "line": line, "level": level, "kind": "event"}
            for level, target, file, line in sites
        ]
        dropped = [
            {"level": level, "reason": reason, "count": count, "from": first, "to": last}
            for (level, reason), (count, first, last) in drops.items()
        ]
        text = b'{"v":1,"source":%s,"no":%d,"sent":%d,"dropped":%s,"callsites":%s,"records":[%s]}' % (
            self._source,
            self._next,
            time.time_ns(),
            dump(dropped),
            dump(callsites),
            b",".join(records),
        )
        self._next += 1
        return Batch(text, entries, drops)
