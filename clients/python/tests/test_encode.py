"""What a record looks like on the wire."""

import json
import logging
import unittest

from log_layer import continue_trace, encode


def encoded(*arguments, limit=256 << 10, level=logging.INFO, exc_info=None, **extra):
    record = logging.LogRecord("app.part", level, "src/app.py", 7, *arguments, exc_info)
    vars(record).update(extra)
    return json.loads(b"{" + encode.body(record, limit)[1:] + b"}")


class Hostile:
    def __str__(self):
        raise ValueError("expected by this test")

    __repr__ = __str__


class EncodeTest(unittest.TestCase):
    def test_values_keep_their_type(self):
        values = {
            "user": 42,
            "largest": (1 << 64) - 1,
            "beyond": 1 << 64,
            "ratio": 0.1,
            "nan": float("nan"),
            "down": float("-inf"),
            "yes": True,
            "none": None,
            "text": "登录 \x1b[31m",
            "list": [1, (2.5, "x")],
            "inner": {"a": 1, "password": "hunter2"},
            "bytes": b"\xff",
        }
        fields = encoded("m", (), **values)["fields"]
        expected = {
            **values,
            "beyond": str(1 << 64),
            "nan": "NaN",
            "down": "-Infinity",
            "list": [1, [2.5, "x"]],
            "inner": {"a": 1, "password": "[redacted]"},
            "bytes": "b'\\xff'",
        }
        self.assertEqual(fields, expected)

    def test_secrets_are_redacted_by_name(self):
        secret = ["password", "X-Api-Key", "user_token", "db.password", "Set-Cookie", "session"]
        shown = ["session_id", "token_count", "passwords_checked"]
        fields = encoded("m", (), **dict.fromkeys(secret + shown, "hunter2"))["fields"]
        self.assertEqual({name for name, value in fields.items() if value == "[redacted]"}, set(secret))

    def test_an_error_has_its_causes_and_where_it_happened(self):
        try:
            try:
                raise KeyError("inner")
            except KeyError as cause:
                raise ValueError("outer") from cause
        except ValueError as error:
            record = encoded("failed", (), exc_info=(type(error), error, error.__traceback__))
        self.assertEqual(record["fields"]["error"], {"message": "ValueError: outer", "chain": ["KeyError: 'inner'"]})
        self.assertIn("test_encode.py", record["fields"]["stack"])

    def test_the_programs_own_code_may_fail(self):
        record = encoded("%s", (Hostile(),), thing=Hostile(), fine=1)
        self.assertIn("ValueError in", record["message"])
        self.assertEqual(record["fields"], {"thing": "<ValueError in __str__ of Hostile>", "fine": 1})
        self.assertIn("TypeError", encoded("no %d", ("number",))["message"])

    def test_long_text_is_cut_and_says_so(self):
        record = encoded("x" * 100_000, (), limit=4096, big="y" * 100_000)
        self.assertLess(len(json.dumps(record)), 4096)
        self.assertEqual(record["flags"], ["truncated"])

    def test_half_a_character_is_still_json(self):
        self.assertEqual(encoded("\ud800", ())["message"], "\ud800")

    def test_a_trace_is_continued_by_its_header_and_by_no_other(self):
        trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
        with continue_trace(f"00-{trace}-{span}-01"):
            record = encoded("m", ())
            self.assertEqual((record["trace_id"], record["span_id"]), (trace, span))
            with continue_trace("00-0-0-0"), continue_trace(None):
                self.assertEqual(encoded("m", ())["trace_id"], trace)
        self.assertNotIn("trace_id", encoded("m", ()))


if __name__ == "__main__":
    unittest.main()
