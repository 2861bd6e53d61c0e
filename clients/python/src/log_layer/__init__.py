"""Ships what a Python program logs to the log server.

    import logging, log_layer
    logging.getLogger().addHandler(log_layer.LogHandler("billing"))
    logging.getLogger().warning("invoice %s is late", 7, extra={"customer": 42})

Reading order, in the way of a record: ``handler`` → ``encode`` → ``buffer`` → ``shipper`` → ``batch``, ``wire``.
"""

from .buffer import Report, Stats
from .handler import AsyncLogHandler, LogHandler
from .settings import Settings
from .trace import continue_trace

__all__ = ["AsyncLogHandler", "LogHandler", "Report", "Settings", "Stats", "continue_trace"]
