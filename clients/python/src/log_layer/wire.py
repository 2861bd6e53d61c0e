"""RPC over Redis lists, as the package asyncredisrpc speaks it: a request is pushed to the queue's list, its reply
comes on a list of its own."""

from __future__ import annotations

# Connecting needs these. A process that forks while another thread imports a module leaves the child with half of it for
# ever, so what the shipper's thread uses is imported before there is one; a test looks that nothing is forgotten.
import email.parser  # noqa: F401
import encodings.idna  # noqa: F401
import json
import secrets
from typing import Any, List, NamedTuple, Optional

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_PREFIX = "asyncredisrpc:"

#: How long connecting and every command but the waiting one may take.
_COMMAND_SECONDS = 5


class Reply(NamedTuple):
    error: int
    result: Any


class QueueState(NamedTuple):
    length: int
    #: Changes whenever Redis starts anew.
    run: str


class Wire:
    def __init__(self, url: str, queue: str) -> None:
        #: Longer than the longest wait in `receive`.
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=_COMMAND_SECONDS,
            socket_connect_timeout=_COMMAND_SECONDS,
            # The shipper has its own rules for sending again; a silent second push would not follow them.
            retry=Retry(NoBackoff(), 0),
        )
        self._queue = _PREFIX + queue

    def send(self, method: str, argument: bytes) -> str:
        """Returns the key on which the reply comes."""
        request = secrets.token_hex(16)
        self._redis.rpush(
            self._queue,
            b'{"id":"%s","name":"%s","args":[%s],"kwargs":{}}' % (request.encode(), method.encode(), argument),
        )
        return f"{self._queue}:{request}"

    def receive(self, keys: List[str], seconds: float) -> Optional[Reply]:
        """The reply on any of the keys, if one comes within the time, which is at most a second."""
        # Redis takes whole seconds everywhere and fractions only from version 6 on, which is what is asked for.
        found = self._redis.blpop(keys, timeout=min(max(seconds, 0.01), 1))
        if found is None:
            return None
        reply = json.loads(found[1])
        return Reply(reply.get("error", 2), reply.get("result"))

    def state(self) -> QueueState:
        pipe = self._redis.pipeline(transaction=False)
        pipe.llen(self._queue)
        pipe.info("server")
        length, info = pipe.execute()
        return QueueState(length, info.get("run_id", ""))

    def close(self) -> None:
        self._redis.close()
