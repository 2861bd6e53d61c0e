//! The language by example, for the page's help and the documentation.

/// What can be written, and what it finds. Every example parses.
pub const TABLE: &[(&str, &str)] = &[
    (
        "timeout",
        "any text of the record contains it, in any script: message, values of fields, spans, service …",
    ),
    ("\"connection reset\"", "the same, with spaces"),
    ("timeout shop", "both; AND may be written between them"),
    ("timeout OR refused", "one of them; AND binds tighter"),
    (
        "timeout -retry",
        "the first without the second; NOT retry is the same",
    ),
    ("(timeout OR refused) level:error", "parentheses group"),
    ("level:error", "severity"),
    (
        "level>=warn",
        "levels are ordered: trace, debug, info, warn, error",
    ),
    ("message:timeout", "the message contains it"),
    (
        "message:\"reset by peer\"",
        "the message contains it, with spaces",
    ),
    (
        "service:iptv",
        "the field equals: service, instance, host, version, boot, target, file, line, thread, seq",
    ),
    ("target:iptv::*", "* stands for any text"),
    (
        "path:*\"live page\"*",
        "the field contains it; in quotes a * is a star",
    ),
    (
        "user_id:42",
        "any field of the record, by its name: number, boolean or text",
    ),
    (
        "fields.service:x",
        "the record's own field, where its name is taken",
    ),
    ("request.method:GET", "a value inside of a value"),
    ("\"odd name\":x", "a name with spaces"),
    ("latency_ms>950", "number comparison: > >= < <="),
    (
        "latency_ms:10..20",
        "a range with both ends; 10.. and ..20 are open",
    ),
    ("path:/^\\/api\\/v[12]/", "regular expression on a field"),
    (
        "/panicked at/",
        "regular expression on the message; (?-i) makes case matter",
    ),
    ("user_id:*", "the field is present"),
    ("-user_id:*", "the field is absent"),
    ("status:(500 OR 503)", "several values of one field"),
    ("span.path:/live", "a field of a span around the record"),
    ("spans:request", "inside of a span of that name"),
    (
        "trace_id:9f3c0a1b2c3d4e5f9f3c0a1b2c3d4e5f",
        "one trace; span_id likewise",
    ),
    (
        "callsite:src/catalog.rs:41",
        "a place in the source; the line and the directories in front may be left out",
    ),
    ("attrs.env:prod", "an attribute of the sending process"),
    ("flags:truncated", "records that were changed on the way"),
    ("*", "everything"),
    (
        "level:error | count by service, level",
        "how many, per combination of values",
    ),
    ("| top 10 path", "the most frequent values of a field"),
    (
        "| stats count, avg latency_ms, p95 latency_ms by path",
        "computed per value: count, sum, avg, min, max, distinct, p50 … p99",
    ),
    (
        "| timechart 1m count by level",
        "the same over time, per 1m, 15s, 1h …",
    ),
    (
        "latency_ms:* | sort latency_ms desc",
        "records, or rows of a table, in another order",
    ),
    (
        "| fields time, service, latency_ms",
        "only these columns, as a table",
    ),
    ("level:error | limit 20", "only the first"),
];
