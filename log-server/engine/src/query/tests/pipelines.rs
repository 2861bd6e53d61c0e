//! How pipelines are read: accepted → canonical form, rejected → place and wording, pasted → text.

use crate::query::{Column, Field, Query, parse, read};

#[track_caller]
fn check(text: &str, canonical: &str) {
    let query = parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    assert_eq!(query.to_string(), canonical, "{text:?}");
    assert_eq!(
        parse(canonical).as_ref(),
        Ok(&query),
        "{canonical:?} is read differently"
    );
}

/// `marked` is the text with the place of the error between `«` and `»`.
#[track_caller]
fn check_error(marked: &str, what: &str) {
    let text = marked.replace(['«', '»'], "");
    let start = marked.find('«').unwrap();
    let end = marked.find('»').unwrap() - '«'.len_utf8();
    let reading = read(&text);
    let error = reading
        .error
        .unwrap_or_else(|| panic!("{text:?} is read as {}", reading.query));
    assert_eq!(
        (error.at.clone(), error.what.as_str()),
        (start..end, what),
        "{text:?}"
    );
    assert_eq!(
        reading.query,
        Query::text(&text),
        "what does not parse is searched as text"
    );
}

/// There is no pipeline in it.
#[track_caller]
fn check_text(text: &str) {
    let reading = read(text);
    assert!(reading.query.pipeline.is_empty(), "{text:?}: {}", reading.query);
    assert!(reading.error.is_none(), "{text:?}: {:?}", reading.error);
}

#[test]
fn every_verb_has_one_canonical_form() {
    check("| count", "* | count");
    check("a b |count", "a b | count");
    check(
        "level:error | count by service, level",
        "level:error | count by service, level",
    );
    check("| COUNT() BY Service", "* | count by service");
    check("| stats count by path", "* | count by path");
    check("| top 10 path", "* | count by path | limit 10");
    check("| top path, service", "* | count by path, service | limit 10");
    check(
        "| stats count, avg latency_ms, p95(latency_ms) by path",
        "* | stats count, avg latency_ms, p95 latency_ms by path",
    );
    check(
        "| stats sum a, min b, max c, distinct d, P50 e, p99.9 f, p5.0 g",
        "* | stats sum a, min b, max c, distinct d, p50 e, p99.9 f, p5 g",
    );
    check(
        "| stats min time, max time by level",
        "* | stats min time, max time by level",
    );
    check("| timechart 1m count by level", "* | timechart 1m count by level");
    check("| timechart 60s by level", "* | timechart 1m count by level");
    check("| timechart 1500ms avg x", "* | timechart 1500ms avg x");
    check("| timechart 24H", "* | timechart 1d count");
    check("a | sort latency_ms desc", "a | sort latency_ms desc");
    check("a | sort by b asc, time desc", "a | sort b, time desc");
    check(
        "a | limit 5 | fields time, message, a.b",
        "a | limit 5 | fields time, message, a.b",
    );
    check(
        "| count by a | sort count, a desc | fields count | limit 1",
        "* | count by a | sort count, a desc | fields count | limit 1",
    );
    check(
        "| stats max a by b | sort max(a) desc",
        "* | stats max a by b | sort max a desc",
    );
    check("| count by a, a", "* | count by a");
}

#[test]
fn names_that_are_words_of_the_pipeline_stand_in_quotes() {
    check("| count by \"count\", \"by\"", "* | count by \"count\", \"by\"");
    check(
        "| stats max \"max\" by \"p95\"",
        "* | stats max \"max\" by \"p95\"",
    );
    check("a | sort max desc", "a | sort \"max\" desc");
    check("a | sort count", "a | sort \"count\"");
    check(
        "| count by max | sort max desc",
        "* | count by \"max\" | sort \"max\" desc",
    );
    check("| count by \"odd name\", 用户", "* | count by \"odd name\", 用户");
    check("| count by fields.time, time", "* | count by fields.time, time");
    check("| count by trace, span.path", "* | count by trace_id, span.path");
    assert_eq!(
        Column::named("fields.time"),
        Column::Field(Field::own("time".to_owned()))
    );
}

#[test]
fn a_bar_without_a_verb_behind_it_stays_text() {
    for text in [
        "a | b",
        "x|y",
        "a|count",
        "a | counter",
        "a | top-level",
        "2026-01-01 | INFO | started",
        "\"| count\"",
        "a \"| count\" b",
        "a || count",
        "|",
        "a |",
        "| sort(x)",
        "path:|count",
        "field:(a | count)",
        "/a | count/",
    ] {
        check_text(text);
    }
    check("a | b", "a \"|\" b");
    check("\"| count\"", "\"| count\"");
}

#[test]
fn what_begins_as_a_pipeline_and_is_none_is_searched_as_text_and_says_why() {
    check_error("ps aux | sort «-n»", "expected the name of a field, found -n");
    check_error("Name | Count | «Time»", "expected a step after |, found Time");
}

#[test]
fn errors_name_the_place_and_what_was_expected() {
    check_error("a | count | «grep» x", "expected a step after |, found grep");
    check_error("a | count |«»", "expected a step after |");
    check_error("a | count by«»", "expected the name of a field");
    check_error("a | count by b,«»", "expected the name of a field");
    check_error("a | count by b «c»", "expected a comma, | or the end, found c");
    check_error("a | stats «by» b", "expected something to compute, found by");
    check_error("a | stats «avg»", "expected something to compute, found avg");
    check_error("a | stats «p100» x", "expected something to compute, found p100");
    check_error("a | stats avg(b «,»", "expected ), found ,");
    check_error("a | stats sum «time»", "time has no sum");
    check_error("a | limit «0»", "expected a number from 1 to 10000, found 0");
    check_error(
        "a | limit «10001»",
        "expected a number from 1 to 10000, found 10001",
    );
    check_error("a | limit«»", "expected a number from 1 to 10000");
    check_error("a | timechart «count»", "expected a span of time, found count");
    check_error("a | timechart «0s»", "expected a span of time, found 0s");
    check_error("a | count | «stats» max b", "stats can only be the first step");
    check_error("a | sort b | «count»", "count can only be the first step");
    check_error("a | count by b | sort «c» desc", "there is no column c here");
    check_error(
        "a | count by b | fields b | sort «count»",
        "there is no column count here",
    );
    check_error("a | count by «\"b»", "this quote is never closed");
    check_error("(a «|» count b)", "a pipeline cannot stand in parentheses");
    check_error("a «OR» | count", "a term is missing after OR");
    let names: Vec<_> = (0..17).map(|number| format!("f{number}")).collect();
    check_error(
        &format!("a | count by «{}»", names.join(",")),
        "at most 16 can be listed",
    );
}

#[test]
fn a_pipeline_says_what_it_reads_of_a_record() {
    let fields = |text: &str| {
        let pipeline = parse(text).unwrap().pipeline;
        pipeline.fields().map(|columns| {
            columns
                .iter()
                .map(|column| column.name())
                .collect::<Vec<_>>()
                .join(" ")
        })
    };
    assert_eq!(fields("a"), None);
    assert_eq!(fields("a | sort b"), None);
    assert_eq!(fields("a | sort b | fields c, b").as_deref(), Some("b c"));
    assert_eq!(fields("a | count").as_deref(), Some(""));
    assert_eq!(
        fields("a | timechart 1m avg x, max x by level").as_deref(),
        Some("time level x")
    );
}
