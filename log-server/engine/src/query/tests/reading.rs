//! How texts are read: accepted → canonical form, rejected → place and wording. One line per case.

use proptest::prelude::*;

use super::random;
use crate::query::{Query, TABLE, parse, read};

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
        (error.at.clone(), error.to_string().as_str()),
        (start..end, what),
        "{text:?}"
    );
    assert!(reading.as_text);
    assert_eq!(reading.query, Query::text(&text));
}

/// Pasted text is searched as the text it is.
#[track_caller]
fn check_text(text: &str) {
    assert_eq!(parse(text), Ok(Query::text(text)), "{text:?}");
    check(text, &Query::text(text).to_string());
}

const LEVELS: &str = "not a level (levels are trace, debug, info, warn, error)";
const QUOTE: &str =
    "this quote is never closed (close it with \"; a quote inside of a phrase is written \\\")";

#[test]
fn words_phrases_and_operators() {
    check("", "*");
    check("  \n ", "*");
    check("*", "*");
    check("level>=warn shop", "level>=warn shop");
    check("timeout", "timeout");
    check("登录 失败", "登录 失败");
    check("登录\u{3000}失败", "登录 失败");
    check("\"connection reset\"", "\"connection reset\"");
    check("\"timeout\"", "timeout");
    check(
        "\"say \\\"hi\\\" C:\\temp \\\\\"",
        "\"say \\\"hi\\\" C:\\\\temp \\\\\"",
    );
    check("a b", "a b");
    check("a AND b", "a b");
    check("a OR b", "a OR b");
    check("a and b or not c", "a and b or not c");
    check("a \"OR\" b", "a \"OR\" b");
    check("ORDER NOTE ANDROID", "ORDER NOTE ANDROID");
    check("a OR b c OR d", "a OR b c OR d");
    check("(a OR b) c", "(a OR b) c");
    check("((a) (b c))", "a b c");
    check("a OR (b OR c)", "a OR b OR c");
    check("-a", "-a");
    check("NOT a", "-a");
    check("NOT a b", "-a b");
    check("NOT(a OR b)", "-(a OR b)");
    check("-(a b) -\"c d\"", "-(a b) -\"c d\"");
    check("NOT NOT a", "a");
    check("NOT -a", "a");
    check("-*", "-*");
    check("* a", "a");
    check("a OR *", "a OR *");
    check("\"\" a", "a");
}

#[test]
fn stars_around_words_are_idle_and_inside_they_are_stars() {
    check("*timeout*", "timeout");
    check("timeout*", "timeout");
    check("\"reset by\"*", "\"reset by\"");
    check("*\"reset by\"*", "\"reset by\"");
    check("\"*bold*\"", "\"*bold*\"");
    check("time*out", "\"time*out\"");
}

#[test]
fn levels() {
    check("level:error", "level:error");
    check("LEVEL:Warning", "level:warn");
    check("level:\"error\"", "level:error");
    check("level>=warn", "level>=warn");
    check("level:>=warn", "level>=warn");
    check("level>warn", "level:error");
    check("level<=info", "level<=info");
    check("level<info", "level<=debug");
    check("level<debug", "level:trace");
    check("level>=trace", "level>=trace");
    check("level:debug..warn", "level:debug..warn");
    check("level:warn..", "level>=warn");
    check("level:..info", "level<=info");
    check("level:(warn OR error)", "level:warn OR level:error");
    check("-level:debug", "-level:debug");
    check("level:*", "*");
    check("fields.level:loud", "fields.level:loud");
    check_error("a level:«eror»", LEVELS);
    check_error("level«>=loud» b", LEVELS);
    check_error("level:«err*»", LEVELS);
    check_error("level:«/e/»", LEVELS);
    check_error("level:(warn «loud»)", LEVELS);
    check_error("level«>error»", "no level lies beyond error");
    check_error("level«<trace»", "no level lies beyond trace");
}

#[test]
fn fields_and_their_values() {
    check("message:timeout", "message:timeout");
    check("message:\"reset by peer\"", "message:\"reset by peer\"");
    check("Service:iptv", "service:iptv");
    check("target:iptv::*", "target:iptv::*");
    check("user_id:42", "user_id:42");
    check("user_id:\"42\"", "user_id:42");
    check("x:-5", "x:-5");
    check("ok:true", "ok:true");
    check("path:*live*", "path:*live*");
    check("path:**a***b", "path:*a*b");
    check("path:*\"live page\"*", "path:*\"live page\"*");
    check("path:a\" b \"c", "path:\"a b c\"");
    check("path:\\*x", "path:\"*x\"");
    check("path:\"*x\"", "path:\"*x\"");
    check("path:\\\"x", "path:\"\\\"x\"");
    check("path:C:\\temp\\new", "path:\"C:\\\\temp\\\\new\"");
    check("path:\\\\server\\share", "path:\"\\\\\\\\server\\\\share\"");
    check("path:/live", "path:\"/live\"");
    check("path:\"\"", "path:\"\"");
    check("url:http://x/y?a=b", "url:http://x/y?a=b");
    check("call:main(1,2)", "call:\"main(1,2)\"");
    check("user_id:*", "user_id:*");
    check("-user_id:*", "-user_id:*");
    check("name:OR", "name:OR");
    check("name:(\"OR\" AND not)", "name:OR name:not");
    check("用户:张三", "用户:张三");
    check("content-type:json", "content-type:json");
    check("@timestamp:x _id:y $z:w", "@timestamp:x _id:y $z:w");
    check("tag:<b>", "tag:\"<b>\"");
    check("a.b:1", "a.b:1");
    check("\"odd name\":x", "\"odd name\":x");
    check(
        "\"odd \\\"name\\\"\":x -\"odd name\":*",
        "\"odd \\\"name\\\"\":x -\"odd name\":*",
    );
    check("\"\":x", "\"\":x");
    check("\"service\":\"webapi\"", "service:webapi");
    check("field:(a OR b)", "field:a OR field:b");
    check("field:(a b -c)", "field:a field:b -field:c");
    check(
        "field:(a (b OR \"c d\") NOT e* /f/ >5 1..2 *)",
        "field:a (field:b OR field:\"c d\") -field:e* field:/f/ field>5 field:1..2 field:*",
    );
    check("target:(a::b OR x:y)", "target:a::b OR target:x:y");
    check("-field:(a OR b)", "-(field:a OR field:b)");
}

#[test]
fn names_of_the_house_and_of_the_record() {
    check("trace:9f3c trace_id:9F3C", "trace_id:9f3c trace_id:9F3C");
    check(
        "span_id:1 boot:2 instance:h:1 host:h version:1.4.2",
        "span_id:1 boot:2 instance:h:1 host:h version:1.4.2",
    );
    check(
        "file:src/a.rs line:41 thread:main seq>9001",
        "file:src/a.rs line:41 thread:main seq>9001",
    );
    check("callsite:src/catalog.rs:41", "callsite:src/catalog.rs:41");
    check("flags:truncated spans:request", "flags:truncated spans:request");
    check(
        "span.path:/live attrs.env:prod",
        "span.path:\"/live\" attrs.env:prod",
    );
    check("Fields.user_id:1", "user_id:1");
    check("fields.service:x", "fields.service:x");
    check("fields.trace:x", "fields.trace:x");
    check("fields.span.path:x", "fields.span.path:x");
    check("fields.fields.a:x", "fields.fields.a:x");
    check("\"fields.odd name\":x", "\"odd name\":x");
    check("\"span.\":x", "\"span.\":x");
    check("span:x attrs:y fields:z", "span:x attrs:y fields:z");
}

#[test]
fn numbers() {
    check("latency_ms>950", "latency_ms>950");
    check("a>=1 b<=-2.5 c<1e3", "a>=1 b<=-2.5 c<1000.0");
    check("a:>1", "a>1");
    check("\"odd name\"<5", "\"odd name\"<5");
    check("latency_ms:10..20", "latency_ms:10..20");
    check("a:10..", "a>=10");
    check("a:..20", "a<=20");
    check("a:-1.5..1e300", "a:-1.5..1e300");
    check("a:\"10..20\"", "a:\"10..20\"");
    check("path:a..b", "path:\"a..b\"");
    check("path:..", "path:\"..\"");
    check("a>9007199254740993", "a>9007199254740993");
    check("a:18446744073709551616", "a:18446744073709551616");
    check(&format!("a>{}", "9".repeat(40)), "a>1e40");
    check_error(
        "latency_ms>«10ms» x",
        "10ms is not a number (numbers are written like 950, -1.5 or 2e9, without a unit)",
    );
    check_error(
        "a:>«.5»",
        ".5 is not a number (numbers are written like 950, -1.5 or 2e9, without a unit)",
    );
    check_error(
        "a<«007»",
        "007 is not a number (numbers are written like 950, -1.5 or 2e9, without a unit)",
    );
}

#[test]
fn regular_expressions() {
    check("/panicked at/", "/panicked at/");
    check("message:/x/", "/x/");
    check("path:/^\\/api\\/v[12]/", "path:/^\\/api\\/v[12]/");
    check("(/a (b)/ OR /c/)", "/a (b)/ OR /c/");
    check("-/a/", "-/a/");
    check("/(?-i)Error\\\\/", "/(?-i)Error\\\\/");
    check("\"c\":/x/", "\"c\":/x/");
    check_error(
        "a «/(b/»",
        "not a regular expression: unclosed group (to search for text with slashes, put it in quotes)",
    );
    check_error(
        "path:«/a{5000000}/»",
        "this regular expression needs too much memory (to search for text with slashes, put it in quotes)",
    );
    let long = format!("«/{}/»", "x".repeat(2000));
    check_error(
        &long,
        "a regular expression has at most 1024 bytes (to search for text with slashes, put it in quotes)",
    );
}

#[test]
fn what_people_paste_stays_text() {
    check_text("http://host/x");
    check_text("https://user:pw@host:8443/a?b=c&d=(e)#f");
    check_text("redis://127.0.0.1:6379/0");
    check_text("12:30");
    check_text("12:30:05.123");
    check_text("2026-09-21T14:13:20Z");
    check_text("10.0.0.1:6379");
    check_text("::1");
    check_text("fe80::1");
    check_text("C:\\temp\\new.txt");
    check_text("c:/temp");
    check_text("\\\\server\\share");
    check_text("key=value");
    check_text("error=\"connection reset\"");
    check_text("msg=\"say \\\"hi there\\\"\"");
    check_text("ops@example.com");
    check_text("git@github.com:org/repo.git");
    check_text("->");
    check_text("a->b");
    check_text("=>");
    check_text("-");
    check_text("--verbose");
    check_text("a-b");
    check_text("std::io::Error");
    check_text("Vec<u8>");
    check_text("<b>");
    check_text("<=");
    check_text("error:");
    check_text("main()");
    check_text("read(fd=3,f(x))");
    check_text("{\"level\":\"error\",\"msg\":\"connection reset\"}");
    check_text("\"foo\"bar");
    check_text("5\"");
    check_text("src/catalog.rs:41:7");
    check_text("/var/log/app.log");
    check_text("/api/v1");
    check_text("//");
    check_text("/");
    check_text("100%");
    check_text("x;y,z|w");
    check_text("don't");
    check_text("$HOME");
    check_text("#42");
    check_text("…");
    check("GET /a -> 200", "GET \"/a\" \"->\" 200");
    check("a\\\"b c\"d", "\"a\\\\\\\"b\" \"c\\\"d\"");
    check("error: no such file", "\"error:\" no such file");
    check("(see http://x/y)", "see \"http://x/y\"");
    check("\"level\": \"error\"", "\"\\\"level\\\":\" error");
}

#[test]
fn what_is_no_query_is_searched_as_text_and_says_why() {
    check_error("a «\"b c»", QUOTE);
    check_error("path:x«\"b c»", QUOTE);
    check_error("登录 «\"失败»", QUOTE);
    check_error(
        "a«)»",
        "this ) closes nothing (to search for ), put it in quotes)",
    );
    check_error(
        "f(a b«)»",
        "this ) closes nothing (to search for ), put it in quotes)",
    );
    check_error(
        "a «(»b",
        "this ( is never closed (add a ), or put the text in quotes)",
    );
    check_error(
        "field:«(»b",
        "this ( is never closed (add a ), or put the text in quotes)",
    );
    check_error(
        "«(»)",
        "a term is missing after ( (to search for (, put it in quotes)",
    );
    check_error(
        "field:«(»)",
        "a term is missing after ( (to search for (, put it in quotes)",
    );
    check_error(
        "a «OR»",
        "a term is missing after OR (to search for OR, put it in quotes)",
    );
    check_error(
        "a «OR» AND b",
        "a term is missing after OR (to search for OR, put it in quotes)",
    );
    check_error(
        "a «AND» ) b",
        "a term is missing after AND (to search for AND, put it in quotes)",
    );
    check_error(
        "«NOT»",
        "a term is missing after NOT (to search for NOT, put it in quotes)",
    );
    check_error(
        "«OR» a",
        "a term is missing before OR (to search for OR, put it in quotes)",
    );
    check_error(
        "«AND»",
        "a term is missing before AND (to search for AND, put it in quotes)",
    );
}

#[test]
fn limits_are_errors_and_not_crashes() {
    let nested = |depth: usize| format!("{}a b{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(64)).is_ok());
    assert_eq!(parse(&nested(65)).unwrap_err().at, 64..65);
    assert!(parse(&nested(30_000)).is_err());
    assert!(parse(&"(a) ".repeat(65)).is_ok());
    assert!(parse(&"NOT ".repeat(16_000)).is_err());
    assert!(parse(&"a ".repeat(1024)).is_ok());
    assert_eq!(parse(&"a ".repeat(1025)).unwrap_err().at, 2048..2049);
    assert!(parse(&"/a/ ".repeat(16)).is_ok());
    assert_eq!(parse(&"/a/ ".repeat(17)).unwrap_err().at, 64..67);
    assert!(parse(&"a".repeat(65_536)).is_ok());
    assert_eq!(parse(&"录".repeat(30_000)).unwrap_err().at, 65_535..90_000);
    let name = "n".repeat(1024);
    assert!(parse(&format!("{name}:x")).is_ok());
    assert_eq!(parse(&format!("{name}n:x")).unwrap_err().at, 0..1025);
    let grown = parse(&format!("{name}:({})", "a ".repeat(100))).unwrap_err();
    assert_eq!(
        grown.to_string(),
        "a query has at most 65536 bytes with every field written out"
    );
}

/// Whatever is pasted, reading it takes a time in proportion to its length.
#[test]
fn no_text_is_slow_to_read() {
    let started = std::time::Instant::now();
    for piece in [
        "a\"", "a\\\"", "\"", "\\\"", "\"\\", "/\\", "/a", "a(", "(", "a:\"", "a:/", "-", "*", "*\"", "a.",
        "\\", "/x \\",
    ] {
        for glue in ["", " "] {
            let text = format!("{piece}{glue}").repeat(60_000 / (piece.len() + glue.len()));
            read(&text).query.to_string();
        }
    }
    // Quadratic reading would take minutes; the bound leaves room for a busy machine.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn errors_point_into_text_as_javascript_counts_it() {
    let text = "😀é a OR";
    let error = parse(text).unwrap_err();
    assert_eq!((error.at.clone(), error.utf16(text)), (9..11, 6..8));
}

#[test]
fn every_example_of_the_table_parses_and_prints_back() {
    for (written, finds) in TABLE {
        let query = parse(written).unwrap_or_else(|error| panic!("{written:?}: {error}"));
        assert_eq!(parse(&query.to_string()).as_ref(), Ok(&query), "{written:?}");
        assert!(!finds.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_query_prints_to_what_parses_to_it_again(filter in random::filter(), pipeline in random::pipeline()) {
        let query = Query { filter, pipeline };
        let printed = query.to_string();
        let again = parse(&printed);
        prop_assert_eq!(again.as_ref(), Ok(&query), "{}", &printed);
        prop_assert_eq!(again.unwrap().to_string(), printed);
    }

    #[test]
    fn any_text_can_be_read_and_its_reading_prints_back(text in random::text()) {
        let reading = read(&text);
        prop_assert_eq!(reading.as_text, reading.error.is_some());
        let printed = reading.query.to_string();
        prop_assert_eq!(parse(&printed), Ok(reading.query), "{}", &printed);
        if let Some(error) = reading.error {
            prop_assert!(text.get(error.at.clone()).is_some(), "{error:?}");
        }
    }
}
