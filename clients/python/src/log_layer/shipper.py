"""The shipper: a thread that seals what is buffered into batches and has the server store them.

Promises: one batch is on its way at a time, and the next one follows when the server has decided about it; a batch is
sent again, as the same bytes, only if nothing of it can be waiting in the queue; nothing ends the thread but the end.
What it logs itself never enters the handler.
"""

from __future__ import annotations

import random
import threading
import time
from typing import Any, Dict, List, Optional

from .batch import Batch, Sealer
from .buffer import Buffer
from .settings import Settings
from .wire import Reply, Wire

#: Codes of answers that no resend will change: bad parameters, bad request, dead-lettered.
_FINAL = (3, 6, 11)
#: The first pause before a resend; it doubles with every failure, up to the second.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.25, 10.0
#: What the server may ask for in one answer.
_LONGEST_THROTTLE = 60.0
#: While the server wants less, this many times the answer's timeout is the longest time without asking whether it still
#: does: two minutes by default. What would be logged may be rare, and only an answer can lift it.
_ASK_AGAIN = 12
_LEVELS = {"trace": 0, "debug": 10, "info": 20, "warn": 30, "error": 40}

_inside = threading.local()


def on_shipper() -> bool:
    return getattr(_inside, "shipper", False)


class Shipper:
    def __init__(self, settings: Settings, buffer: Buffer, sealer: Sealer) -> None:
        self._settings = settings
        self._buffer = buffer
        self._sealer = sealer
        self._wire: Optional[Wire] = None
        self._stopped = threading.Event()
        self._throttled_until = 0.0
        self._ask_from = 0.0
        self._thread = threading.Thread(target=self._run, name="log-layer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends it. A command that hangs ends by its own timeout; the process need not wait for that."""
        self._stopped.set()
        self._buffer.wake()
        if not on_shipper():
            self._thread.join(1)

    def _run(self) -> None:
        _inside.shipper = True
        while not self._stopped.is_set():
            try:
                self._step()
            except Exception as error:  # A fault of ours must not end logging.
                self._buffer.note_error(f"the shipper failed and goes on: {error!r}")
                self._stopped.wait(1)
        if self._wire:
            self._wire.close()

    def _step(self) -> None:
        flushing = self._buffer.is_flushing()
        if time.monotonic() < self._throttled_until and not flushing:
            return self._buffer.wait(min(self._throttled_until - time.monotonic(), 1.0))
        settings = self._settings
        entries = self._buffer.take(settings.batch_bytes, settings.batch_records)
        drops = self._buffer.take_undeclared()
        asks = self._buffer.quiet_below > 0 and time.monotonic() >= self._ask_from
        if entries or drops or asks:
            self._deliver(self._sealer.seal(entries, drops))
        if not (self._buffer.has_work() and self._buffer.is_flushing()):
            # A batch gathers meanwhile, unless an error or somebody who waits is in a hurry.
            self._buffer.wait(settings.linger)

    def _deliver(self, batch: Batch) -> None:
        """Until the server has decided."""
        reply = self._carry(batch)
        if reply is None:
            return
        if reply.error == 0:
            result = reply.result if isinstance(reply.result, dict) else {}
            rejected = [item.get("index") for item in result.get("rejected") or [] if isinstance(item, dict)]
            lost = {index: "rejected_by_server" for index in rejected if index in range(len(batch.entries))}
            self._obey(result)
            return self._buffer.settle(batch.entries, lost, batch.declared())
        self._buffer.note_error(_described(reply))
        if _is_too_large(reply) and len(batch.entries) > 1:
            middle = len(batch.entries) // 2
            self._deliver(self._sealer.seal(batch.entries[:middle], batch.drops))
            return self._deliver(self._sealer.seal(batch.entries[middle:], {}))
        self._buffer.declare_again(batch.drops)
        lost = dict.fromkeys(range(len(batch.entries)), "rejected_by_server")
        self._buffer.settle(batch.entries, lost, 0)
        if batch.drops:
            self._stopped.wait(1)

    def _carry(self, batch: Batch) -> Optional[Reply]:
        """The server's final answer; none if the end comes first."""
        failures = sent = 0
        while not self._stopped.is_set():
            try:
                reply = self._attempt(batch, sent)
            except Exception as error:  # Redis is away, full, loading, or wants another password: all of it may pass.
                # Not the text of the error alone: some have none. None of them has the password.
                self._buffer.note_error(f"{type(error).__name__}: {error}")
                reply = None
                self._drop_connection()
            else:
                if reply is not None and (reply.error == 0 or reply.error in _FINAL):
                    return reply
                if reply is not None:
                    self._buffer.note_error(_described(reply))
            sent += 1
            failures = 0 if self._buffer.is_flushing() else failures + 1
            pause = min(_SHORTEST_PAUSE * 2 ** min(failures, 10), _LONGEST_PAUSE)
            # Many processes lose the same Redis at the same moment and must not come back at the same moment.
            self._buffer.wait(pause * (0.5 + random.random() / 2))
        return None

    def _attempt(self, batch: Batch, sent: int) -> Optional[Reply]:
        """One sending. None if nothing of it is in the queue any more and no answer came."""
        wire = self._connected()
        # Known before sending: a restart in between must show as one.
        run = wire.state().run
        if sent:
            self._buffer.count_resend()
        key = wire.send("append", batch.text)
        looked = time.monotonic()
        while not self._stopped.is_set():
            reply = wire.receive([key], self._settings.ack_timeout)
            if reply is not None:
                return reply
            if time.monotonic() - looked >= self._settings.ack_timeout:
                looked = time.monotonic()
                state = wire.state()
                if state.run != run or state.length == 0:
                    return None
                # It waits in the queue; a second copy would only make the queue longer.
        return None

    def _connected(self) -> Wire:
        if self._wire is None:
            self._wire = Wire(self._settings.redis, self._settings.queue)
        return self._wire

    def _drop_connection(self) -> None:
        if self._wire is not None:
            self._wire.close()

    def _obey(self, result: Dict[str, Any]) -> None:
        # It can make the program quieter, but neither louder nor mute.
        self._buffer.quiet_below = _LEVELS.get(str(result.get("min_level")), 0)
        self._ask_from = time.monotonic() + self._settings.ack_timeout * _ASK_AGAIN
        asked = result.get("throttle_ms")
        if isinstance(asked, (int, float)) and asked > 0:
            self._throttled_until = time.monotonic() + min(asked / 1000, _LONGEST_THROTTLE)


def _is_too_large(reply: Reply) -> bool:
    data = reply.result.get("data") if isinstance(reply.result, dict) else None
    return isinstance(data, dict) and bool(data.get("limit_bytes") or data.get("limit_records"))


def _described(reply: Reply) -> str:
    message = reply.result.get("message") if isinstance(reply.result, dict) else reply.result
    return f"{message} (code {reply.error})"
