"""From a call of logging to a record that is found, through a real Redis and a real log server."""

import asyncio
import collections
import json
import logging
import threading
import time
import unittest

import log_layer
from stack import PATIENCE, Redis, Server, run, until


class HandlerTest(unittest.TestCase):
    def setUp(self):
        self.redis = Redis()
        self.addCleanup(self.redis.close)

    def serve(self):
        if self.redis.process is None:
            self.redis.start()
        server = Server(self.redis.url)
        self.addCleanup(server.close)
        return server

    def logger(self, handler=log_layer.LogHandler, **settings):
        quick = {"redis": self.redis.url, "level": "NOTSET", "linger": 0.01, "ack_timeout": 0.5, "flush_timeout": PATIENCE}
        handler = handler("python", **{**quick, **settings})
        logger = logging.Logger(self.id())
        logger.addHandler(handler)

        def close():
            # What a test leaves undelivered is its own business.
            handler.settings.flush_timeout = 0
            handler.close()

        self.addCleanup(close)
        return logger, handler

    def check_whole(self, records, count):
        """Each record once, and no gap in any run's numbers."""
        runs = collections.defaultdict(list)
        for record in records:
            runs[record["boot"]].append(record["seq"])
        for numbers in runs.values():
            self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
        self.assertEqual(len(records), count)

    def test_what_is_logged_is_found_as_it_was(self):
        server = self.serve()
        logger, handler = self.logger(attrs={"env": "test"}, version="1.4.2")
        with log_layer.continue_trace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"):
            logger.warning("登录 %s", "failed", extra={"user": 42, "ratio": 0.5, "password": "hunter2"})
        self.assertEqual(handler.flush(), (1, 0, 0))
        [record] = server.records()
        self.assertEqual(record["message"], "登录 failed")
        self.assertEqual(record["fields"], {"user": 42, "ratio": 0.5, "password": "[redacted]"})
        self.assertEqual((record["level"], record["target"], record["service"]), ("warn", self.id(), "python"))
        self.assertTrue(record["file"].endswith("test_handler.py"))
        self.assertEqual(record["trace_id"], "0af7651916cd43dd8448eb211c80319c")
        self.assertEqual((record["version"], record["thread"]), ("1.4.2", "MainThread"))

    def test_what_is_logged_before_redis_is_there_arrives_when_it_comes(self):
        logger, handler = self.logger()
        start = time.monotonic()
        for number in range(500):
            logger.info("early", extra={"number": number})
        self.assertLess(time.monotonic() - start, PATIENCE / 10)
        self.assertEqual(handler.flush(0.01).still_buffered, 500)
        server = self.serve()
        self.assertEqual(handler.flush(), (500, 0, 0))
        self.check_whole(server.records(), 500)

    def test_a_full_buffer_refuses_mild_levels_first_and_accounts_for_every_record(self):
        logger, handler = self.logger(buffer_bytes=64 << 10)
        for _ in range(500):
            for level in (logging.DEBUG, logging.INFO, logging.ERROR):
                logger.log(level, "x" * 100)
        stats = handler.stats()
        self.assertLessEqual(stats.buffered_bytes, 64 << 10)
        dropped = {level: count for (level, reason), count in stats.dropped.items() if reason == "full"}
        self.assertEqual(stats.accepted + sum(dropped.values()), 1500)
        self.assertTrue(dropped["debug"] >= dropped["info"] >= dropped["error"] > 0, dropped)
        server = self.serve()
        self.assertEqual(handler.flush(), (stats.accepted, 0, sum(dropped.values())))
        self.check_whole(server.records(), stats.accepted)

    def test_nothing_is_lost_or_doubled_when_redis_is_killed_again_and_again(self):
        server = self.serve()
        logger, handler = self.logger(batch_records=20)
        for round in range(3):
            for number in range(500):
                logger.info("counted", extra={"number": number})
            seen = handler.stats().stored
            until("some of it is stored", lambda: handler.stats().stored > seen)
            self.redis.kill()
            self.redis.start()
        self.assertEqual(handler.flush(), (1500, 0, 0))
        self.check_whole(server.records(), 1500)

    def test_a_batch_that_nobody_answers_is_sent_again_and_stored_once(self):
        self.redis.start()
        logger, handler = self.logger(linger=0.5)
        logger.error("taken")
        queue = "asyncredisrpc:logs"
        client = self.redis.client()
        taken = until("it was sent", lambda: client.lpop(queue))
        until("it was sent again", lambda: handler.stats().resent)
        again = until("it is there", lambda: client.lindex(queue, 0))
        self.assertEqual(json.loads(taken)["args"], json.loads(again)["args"])
        # The first one comes back as well.
        client.rpush(queue, taken)
        server = self.serve()
        self.assertEqual(handler.flush(), (1, 0, 0))
        until("both are answered", lambda: client.llen(queue) == 0)
        self.check_whole(server.records(), 1)

    def test_a_batch_above_the_servers_limit_is_split(self):
        server = self.serve()
        logger, handler = self.logger(linger=PATIENCE, batch_records=5000, batch_bytes=100 << 20, buffer_bytes=64 << 20)
        # Beyond what within_limits allows, as if the server's limit had shrunk.
        handler.settings.batch_bytes = 64 << 20
        logger.info("first")
        handler.flush()
        for number in range(40):
            logger.info("x" * 190_000, extra={"number": number})
        self.assertEqual(handler.flush(), (41, 0, 0))
        self.check_whole(server.records(), 41)

    def test_the_server_may_want_less_and_is_asked_whether_it_still_does(self):
        client = self.redis.start().client()
        logger, handler = self.logger(ack_timeout=0.02)
        received = []

        def answer(result):
            """Takes one batch and answers it."""
            taken = client.blpop("asyncredisrpc:logs", PATIENCE)
            self.assertIsNotNone(taken)
            request = json.loads(taken[1])
            client.rpush(f"asyncredisrpc:logs:{request['id']}", json.dumps({"error": 0, "result": result}))
            received.extend(record["message"] for record in request["args"][0]["records"])

        logger.info("first")
        answer({"min_level": "error"})
        handler.flush()
        logger.warning("too mild")
        logger.error("severe")
        while "severe" not in received:
            answer({"min_level": "error"})
        # Nothing is logged, and it asks.
        answer({})
        until("the level is back", lambda: handler._buffer.quiet_below == 0)
        logger.info("last")
        while "last" not in received:
            answer({})
        self.assertEqual(list(dict.fromkeys(received)), ["first", "severe", "last"])

    def test_threads_lose_nothing_and_what_logs_while_it_is_printed_neither_hangs_nor_recurses(self):
        server = self.serve()
        logger, handler = self.logger()

        class Mirror:
            def __str__(self):
                logger.info("reflected %s", self)
                return "mirror"

        def work():
            for number in range(500):
                logger.info("counted", extra={"number": number})

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        logger.info("%s", Mirror())
        report = handler.flush()
        self.assertEqual((report.stored, report.still_buffered), (4003, 0))
        self.assertEqual(handler.stats().dropped, {("info", "recursion"): 1})
        self.check_whole(server.records(), 4003)

    def test_flushing_does_not_block_the_loop(self):
        server = self.serve()
        logger, handler = self.logger(log_layer.AsyncLogHandler, linger=PATIENCE)

        async def main():
            logger.info("first")
            self.assertEqual(await handler.flush(), (1, 0, 0))
            logger.info("second")
            flushes = await asyncio.gather(handler.flush(), handler.flush(), asyncio.sleep(0, "meanwhile"))
            self.assertEqual(flushes, [(2, 0, 0), (2, 0, 0), "meanwhile"])

        asyncio.run(main())
        self.assertEqual(handler.flush(), (2, 0, 0))
        self.check_whole(server.records(), 2)

    def test_the_end_of_the_program_flushes(self):
        server = self.serve()
        script = """
import logging, log_layer, sys
logging.getLogger().addHandler(log_layer.LogHandler("python"))
for number in range(500):
    logging.warning("last words", extra={"number": number})
sys.exit(7)
"""
        ended = run(script, self.redis.url, LOG_LAYER_LINGER_MS="600000")
        self.assertEqual((ended.returncode, ended.stderr), (7, ""))
        self.check_whole(server.records(), 500)

    def test_a_program_without_redis_ends_soon_and_says_what_was_lost(self):
        script = """
import logging, log_layer
logging.getLogger().addHandler(log_layer.LogHandler("python"))
logging.warning("nobody listens")
"""
        start = time.monotonic()
        ended = run(script, self.redis.url, LOG_LAYER_FLUSH_TIMEOUT_MS="100")
        self.assertLess(time.monotonic() - start, PATIENCE / 2)
        self.assertEqual(ended.returncode, 0)
        self.assertIn("1 records were not delivered", ended.stderr)

    def test_a_forked_child_sends_its_own_records_and_its_parents_are_sent_once(self):
        server = self.serve()
        script = """
import logging, log_layer, os, sys
handler = log_layer.LogHandler("python")
logging.getLogger().addHandler(handler)
for number in range(100):
    logging.warning("parent", extra={"number": number})
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        for number in range(50):
            logging.warning("child", extra={"number": number})
        logging.shutdown()
        os._exit(0)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
"""
        ended = run(script, self.redis.url, LOG_LAYER_LINGER_MS="600000")
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        records = server.records()
        self.check_whole(records, 250)
        self.assertEqual(len({record["boot"] for record in records}), 4)
        self.assertEqual(len({record["instance"] for record in records}), 4)

    def test_delivering_imports_nothing_that_a_fork_could_leave_half_imported(self):
        server = self.serve()
        script = """
import logging, log_layer, sys
handler = log_layer.LogHandler("python")
before = set(sys.modules)
logging.getLogger().addHandler(handler)
logging.warning("delivered")
assert handler.flush() == (1, 0, 0), handler.flush()
print(*sorted(set(sys.modules) - before))
"""
        ended = run(script, self.redis.url)
        self.assertEqual((ended.returncode, ended.stdout.strip(), ended.stderr), (0, "", ""))
        self.check_whole(server.records(), 1)

    def test_a_url_that_is_none_is_said_once_and_every_record_is_counted(self):
        logger, handler = self.logger(redis="not a url with hunter2")
        for _ in range(10):
            logger.info("lost")
        self.assertEqual(handler.flush(), (0, 0, 10))
        self.assertEqual(handler.stats().dropped, {("info", "misconfigured"): 10})

    def test_settings_come_from_the_environment_and_the_program_wins(self):
        environment = {
            "LOG_LAYER_QUEUE": "other",
            "LOG_LAYER_LINGER_MS": "50",
            "LOG_LAYER_LEVEL": "warn",
            "LOG_LAYER_BUFFER_BYTES": "many",
            "OTEL_RESOURCE_ATTRIBUTES": "env=prod, zone = b",
            "LOG_LAYER_DISABLED": "true",
        }
        settings = log_layer.Settings.from_environment(environment)
        self.assertEqual((settings.queue, settings.linger, settings.level, settings.enabled), ("other", 0.05, "WARNING", False))
        self.assertEqual(settings.attrs, {"env": "prod", "zone": "b"})
        self.assertEqual(len(settings.problems), 1)
        handler = log_layer.LogHandler("python", settings, queue="mine")
        self.assertEqual(handler.settings.queue, "mine")
        with self.assertRaises(TypeError):
            log_layer.LogHandler("python", speed=1)


if __name__ == "__main__":
    unittest.main()
