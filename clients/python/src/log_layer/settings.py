"""Every setting, with its default, and how the environment overrides it. The names are those of the Rust layer."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Mapping, Optional, TypeVar

T = TypeVar("T")

#: A server refuses larger batches.
SERVER_BATCH_BYTES = 3 << 20
SERVER_BATCH_RECORDS = 5000


@dataclass
class Settings:
    """What can be set. Sizes are bytes, times are seconds."""

    redis: str = "redis://127.0.0.1:6379"
    queue: str = "logs"
    #: ``host:pid`` if it is not given.
    instance: Optional[str] = None
    version: Optional[str] = None
    attrs: Dict[str, str] = field(default_factory=dict)
    level: str = "INFO"
    #: What may be buffered and on its way together.
    buffer_bytes: int = 8 << 20
    #: Longer records are cut and say so.
    max_record_bytes: int = 256 << 10
    batch_bytes: int = 512 << 10
    batch_records: int = 1000
    #: How long a record waits for others to travel with; errors do not wait.
    linger: float = 0.2
    #: After how long without an answer to look whether a batch is lost.
    ack_timeout: float = 10.0
    #: How long a flush takes unless it is told otherwise.
    flush_timeout: float = 5.0
    enabled: bool = True
    #: What in the environment could not be read; the default holds then.
    problems: List[str] = field(default_factory=list)

    @staticmethod
    def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
        """The defaults, and over them what the environment says."""
        settings = Settings()

        def read(names: str, target: str, parse: Callable[[str], T]) -> None:
            for name in names.split():
                text = environment.get(name)
                if not text:
                    continue
                try:
                    setattr(settings, target, parse(text))
                except ValueError:
                    settings.problems.append(f"{name} cannot be read, the default holds: {text!r}")
                return

        read("LOG_LAYER_REDIS_URL", "redis", str)
        read("LOG_LAYER_QUEUE", "queue", str)
        read("LOG_LAYER_INSTANCE", "instance", str)
        read("LOG_LAYER_VERSION", "version", str)
        read("OTEL_RESOURCE_ATTRIBUTES", "attrs", _attrs)
        read("LOG_LAYER_LEVEL", "level", _level)
        read("LOG_LAYER_BUFFER_BYTES", "buffer_bytes", _count)
        read("LOG_LAYER_MAX_RECORD_BYTES", "max_record_bytes", _count)
        read("LOG_LAYER_BATCH_BYTES", "batch_bytes", _count)
        read("LOG_LAYER_BATCH_RECORDS OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "batch_records", _count)
        read("LOG_LAYER_LINGER_MS OTEL_BLRP_SCHEDULE_DELAY", "linger", _milliseconds)
        read("LOG_LAYER_ACK_TIMEOUT_MS OTEL_BLRP_EXPORT_TIMEOUT", "ack_timeout", _milliseconds)
        read("LOG_LAYER_FLUSH_TIMEOUT_MS", "flush_timeout", _milliseconds)
        read("LOG_LAYER_DISABLED OTEL_SDK_DISABLED", "enabled", lambda text: not _switch(text))
        return settings

    def within_limits(self) -> Settings:
        """The same with sizes that work together."""
        self.buffer_bytes = max(self.buffer_bytes, 64 << 10)
        self.max_record_bytes = min(max(self.max_record_bytes, 4 << 10), 256 << 10)
        self.batch_bytes = max(1, min(self.batch_bytes, self.buffer_bytes // 8, SERVER_BATCH_BYTES))
        self.batch_records = max(1, min(self.batch_records, SERVER_BATCH_RECORDS))
        self.linger = max(self.linger, 0.001)
        self.ack_timeout = max(self.ack_timeout, 0.01)
        return self

    def source(self, service: str, boot: str) -> Dict[str, object]:
        """Who sends: this run of this process."""
        host = socket.gethostname() or "localhost"
        source: Dict[str, object] = {
            "service": service,
            "instance": self.instance or f"{host}:{os.getpid()}",
            "boot": boot,
            "host": host,
        }
        if self.version:
            source["version"] = self.version
        if self.attrs:
            source["attrs"] = self.attrs
        return source


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def _milliseconds(text: str) -> float:
    return _count(text) / 1000


def _switch(text: str) -> bool:
    try:
        return {"1": True, "true": True, "0": False, "false": False}[text.lower()]
    except KeyError:
        raise ValueError(text) from None


def _level(text: str) -> str:
    # Rust's names are taken too: one environment serves both.
    name = {"WARN": "WARNING", "TRACE": "NOTSET", "OFF": "CRITICAL"}.get(text.upper(), text.upper())
    if name not in ("NOTSET", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        raise ValueError(text)
    return name


def _attrs(text: str) -> Dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError(text)
    return {name.strip(): value.strip() for name, _, value in pairs}
