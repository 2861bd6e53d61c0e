"""A private Redis and a real log server for one test."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

import redis

PATIENCE = 60
SOURCES = Path(__file__).resolve().parents[1] / "src"


def until(what, ask):
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited too long until {what}")
        time.sleep(0.02)  # polling


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Redis:
    """Not running until it is started; its address is known already."""

    def __init__(self):
        self.directory = tempfile.mkdtemp()
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.directory]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until("Redis answers", self._answers)
        return self

    def _answers(self):
        try:
            return self.client().ping()
        except redis.ConnectionError:
            return False

    def client(self):
        return redis.Redis.from_url(self.url)

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self):
        self.kill()
        shutil.rmtree(self.directory)


class Server:
    def __init__(self, redis_url):
        self.directory = tempfile.mkdtemp()
        command = [os.environ["LOG_SERVER"], "--data", self.directory, "--redis", redis_url, "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        prefix = "  page      "
        self.page = next(line[len(prefix) :].strip() for line in self.process.stdout if line.startswith(prefix))

    def records(self, query=""):
        """Everything that matches, oldest first."""
        found, cursor = [], ""
        while cursor is not None:
            parameters = urllib.parse.urlencode({"q": query, "limit": 10000, "cursor": cursor})
            with urllib.request.urlopen(f"{self.page}/api/search?{parameters}") as answer:
                page = json.load(answer)
            found.extend(page["records"])
            cursor = page["next"]
        # Those that the server writes itself, of losses, have no number.
        own = [record for record in found if "seq" in record]
        return sorted(own, key=lambda record: (record["boot"], record["seq"]))

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()
        shutil.rmtree(self.directory)


def run(script, redis_url, **environment):
    """Runs a script in a Python of its own."""
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(SOURCES), "LOG_LAYER_REDIS_URL": redis_url, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
