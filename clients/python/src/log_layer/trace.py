"""Which trace a record belongs to: OpenTelemetry's current span, or the W3C header that a request brought along."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Iterator, Optional, Tuple

_HEADER = re.compile(r"^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}$")

_current: ContextVar[Optional[Tuple[str, str]]] = ContextVar("log_layer_trace", default=None)


@contextmanager
def continue_trace(traceparent: Optional[str]) -> Iterator[None]:
    """Has what is logged inside belong to the trace of that header; also in the tasks that are started inside.

    A header that is none changes nothing.
    """
    match = _HEADER.match(traceparent or "")
    token = _current.set((match.group(1), match.group(2))) if match else None
    try:
        yield
    finally:
        if token is not None:
            _current.reset(token)


def current() -> Optional[Tuple[str, str]]:
    """Trace and span, in lower-case hex."""
    # Only if the program uses it: it is no dependency.
    opentelemetry = sys.modules.get("opentelemetry.trace")
    if opentelemetry is not None:
        context = opentelemetry.get_current_span().get_span_context()
        if context.is_valid:
            return f"{context.trace_id:032x}", f"{context.span_id:016x}"
    return _current.get()
