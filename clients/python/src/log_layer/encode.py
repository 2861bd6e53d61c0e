"""A LogRecord as JSON. Runs the program's ``__str__`` and ``__repr__``, so whatever those do must not matter."""

from __future__ import annotations

import json
import logging
import math
import re
import traceback
from typing import Any, Dict, List, Tuple

from . import trace

#: What stands in place of a secret.
REDACTED = "[redacted]"

#: A name is secret if it is one of these words, or ends in one after a separator.
_SECRET = re.compile(
    r"(^|[_.-])(password|passwd|pwd|secret|token|authorization|cookie|set[_.-]cookie|api[_.-]key|apikey|session"
    r"|private[_.-]key|credential)$",
    re.IGNORECASE,
)

#: What every record has; the rest came with ``extra``.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

#: Values nested deeper than this are text.
_NESTING = 16
#: The server keeps so many fields of a record.
_FIELDS = 256
#: Causes of one error, and how long its traceback may be.
_CAUSES = 16
_STACK_BYTES = 16 << 10

#: A call-site: level, logger, file, line.
Site = Tuple[str, str, str, int]


def site(record: logging.LogRecord) -> Site:
    return level_name(record.levelno), record.name, record.pathname, record.lineno


def level_name(number: int) -> str:
    for least, name in ((40, "error"), (30, "warn"), (20, "info"), (10, "debug")):
        if number >= least:
            return name
    return "trace"


def body(record: logging.LogRecord, limit: int) -> bytes:
    """The inside of the record's JSON object, from a comma on: all but number, time and call-site."""
    cut = Cut(limit // 4 * 3)
    try:
        message = record.getMessage()
    except Exception as error:  # Arguments that do not fit the text; logging itself only prints them.
        message = f"{record.msg!s} <{type(error).__name__} in the arguments {_shown(record.args)}>"
    parts: Dict[str, Any] = {"message": cut.text(message)}
    extra = [(name, value) for name, value in list(vars(record).items()) if name not in _STANDARD]
    # What went wrong is worth more than what else is known.
    fields = _error(record, cut)
    for name, value in extra[: _FIELDS - len(fields)]:
        secret = _SECRET.search(name)
        fields.setdefault(cut.text(name[:128]), REDACTED if secret else value_of(value, cut))
    cut.happened |= len(extra) > _FIELDS - 2
    if record.levelno > logging.ERROR:
        fields.setdefault("level_name", record.levelname)
    if fields:
        parts["fields"] = fields
    ids = trace.current()
    if ids:
        parts["trace_id"], parts["span_id"] = ids
    if record.threadName:
        parts["thread"] = record.threadName
    if cut.happened:
        parts["flags"] = ["truncated"]
    return b"," + dump(parts)[1:-1]


class Cut:
    """What is left of a record's length."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.happened = False

    def text(self, text: str) -> str:
        # Escaped and in UTF-8 a character has up to twelve bytes; most have one, and the server cuts again.
        if len(text) > self.left:
            text = text[: max(self.left, 0)]
            self.happened = True
        self.left -= len(text)
        return text


def value_of(value: Any, cut: Cut, depth: int = 0) -> Any:
    """The value as JSON keeps it: numbers as they are, the rest as text."""
    if value is None or value is True or value is False:
        return value
    kind = type(value)
    if kind is int:
        return value if -(1 << 63) <= value < 1 << 64 else str(value)
    if kind is float:
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if kind is str:
        return cut.text(value)
    if isinstance(value, BaseException):
        return error_of(value, cut)
    if depth < _NESTING and kind in (dict, list, tuple) and len(value) <= 10_000:
        if kind is dict:
            return {
                cut.text(_shown(name)): REDACTED if _SECRET.search(_shown(name)) else value_of(inner, cut, depth + 1)
                for name, inner in list(value.items())
                if cut.left > 0
            }
        return [value_of(inner, cut, depth + 1) for inner in list(value) if cut.left > 0]
    return cut.text(_shown(value))


def error_of(error: BaseException, cut: Cut) -> Dict[str, Any]:
    """The error and its causes, as the server shows them."""
    chain: List[str] = []
    cause = error
    while len(chain) < _CAUSES:
        following = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
        if following is None:
            break
        cause = following
        chain.append(cut.text(_headline(cause)))
    shown: Dict[str, Any] = {"message": cut.text(_headline(error))}
    if chain:
        shown["chain"] = chain
    return shown


def dump(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_shown)
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Half a character: the server mends it and says so.
        return json.dumps(value, separators=(",", ":"), default=_shown).encode()


def _error(record: logging.LogRecord, cut: Cut) -> Dict[str, Any]:
    fields: Dict[str, Any] = {}
    info = record.exc_info
    if isinstance(info, tuple) and info[1] is not None:
        fields["error"] = error_of(info[1], cut)
        try:
            stack = "".join(traceback.format_exception(*info))
        except Exception as broken:  # An exception that cannot be printed.
            stack = f"<{type(broken).__name__} while printing>"
        # Its end says where it happened.
        fields["stack"] = cut.text(stack[-_STACK_BYTES:])
        cut.happened |= len(stack) > _STACK_BYTES
    elif record.exc_text:
        fields["stack"] = cut.text(record.exc_text[-_STACK_BYTES:])
    if record.stack_info:
        fields.setdefault("stack", cut.text(record.stack_info[-_STACK_BYTES:]))
    return fields


def _headline(error: BaseException) -> str:
    text = _shown(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _shown(value: Any) -> str:
    try:
        return str(value)
    except Exception as error:  # The program's own code.
        return f"<{type(error).__name__} in __str__ of {type(value).__name__}>"
