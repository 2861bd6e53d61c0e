//! The verbs of the real binary, on data directories of their own.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod program;

use std::io::Write as _;

use program::{Program, outcome, run};
use tempfile::TempDir;

const LINES: &str = "2026-11-01T08:00:00Z INFO started\n2026-11-01T08:00:01Z ERROR no route to 10.0.0.1:80\n  at connect\n\
                     {\"time\":\"2026-11-01T08:00:02Z\",\"level\":\"warn\",\"msg\":\"slow\",\"ms\":950,\"service\":\"shop\"}\n";

/// A data directory with [`LINES`] in it.
fn imported() -> TempDir {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("app.log"), LINES).unwrap();
    let (file, data) = (path(&directory, "app.log"), path(&directory, "data"));
    let (_, told) = run(&["import", &file, "--data", &data]);
    assert!(told.contains("3 records stored"), "{told}");
    directory
}

fn path(directory: &TempDir, name: &str) -> String {
    directory.path().join(name).to_str().unwrap().to_owned()
}

#[test]
fn an_import_is_found_and_a_second_one_changes_nothing() {
    let directory = imported();
    let (file, data) = (path(&directory, "app.log"), path(&directory, "data"));
    let (_, told) = run(&["import", &file, "--data", &data]);
    assert!(told.contains("0 records stored, 3 had been before"), "{told}");
    let (records, _) = run(&["query", "--data", &data]);
    let expected = "2026-11-01T08:00:00.000000000Z INFO  app: 2026-11-01T08:00:00Z INFO started\n\
                    2026-11-01T08:00:01.000000000Z ERROR app: 2026-11-01T08:00:01Z ERROR no route to 10.0.0.1:80\\n  at connect\n\
                    2026-11-01T08:00:02.000000000Z WARN  shop: slow ms=950\n";
    assert_eq!(records, expected);
    // Our own export comes back as it was.
    let exported = run(&["export", "--data", &data]).0;
    let (again, copy) = (path(&directory, "export.ndjson"), path(&directory, "copy"));
    std::fs::write(&again, exported).unwrap();
    run(&["import", &again, "--data", &copy]);
    assert_eq!(run(&["query", "--data", &copy]).0, expected);
}

#[test]
fn compressed_files_and_the_input_are_read_too() {
    let directory = TempDir::new().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(LINES.as_bytes()).unwrap();
    std::fs::write(directory.path().join("a.gz"), gzip.finish().unwrap()).unwrap();
    let zstd = zstd::encode_all(LINES.as_bytes(), 1).unwrap();
    std::fs::write(directory.path().join("b.log.zst"), zstd).unwrap();
    let (one, other, data) = (
        path(&directory, "a.gz"),
        path(&directory, "b.log.zst"),
        path(&directory, "data"),
    );
    let (_, told) = run(&["import", &one, &other, "--data", &data]);
    assert_eq!(told.matches("3 records stored").count(), 2, "{told}");
    let (counts, _) = run(&["query", "| count by service", "--data", &data, "--csv"]);
    assert_eq!(counts, "service,count\r\na,2\r\nb,2\r\nshop,2\r\n");
    let (code, _, told) = outcome(&["import", &path(&directory, "none.log"), "--data", &data]);
    assert!(code != 0 && told.contains("none.log"), "{told}");
}

#[test]
fn tables_are_printed_for_people_and_for_programs() {
    let directory = imported();
    let data = path(&directory, "data");
    let (grid, _) = run(&["query", "| count by level", "--data", &data]);
    assert_eq!(
        grid,
        "level  count\n─────  ─────\ninfo       1\nwarn       1\nerror      1\n"
    );
    let (json, _) = run(&[
        "query",
        "| stats max ms by service | limit 1",
        "--data",
        &data,
        "--json",
    ]);
    assert_eq!(json, "{\"service\":\"shop\",\"max ms\":950}\n");
    let (records, _) = run(&["query", "level:warn", "--data", &data, "--json"]);
    assert!(records.contains("\"fields\":{\"ms\":950}"), "{records}");
    let (csv, _) = run(&[
        "export",
        "| sort time | fields time, ms | limit 3",
        "--format",
        "csv",
        "--data",
        &data,
    ]);
    assert_eq!(csv.lines().next(), Some("time,ms"));
    assert_eq!(csv.lines().last(), Some("2026-11-01T08:00:02.000000000Z,950"));
}

#[test]
fn sql_sees_the_records_and_levels_compare_by_severity() {
    let directory = imported();
    let data = path(&directory, "data");
    let ask = |sql: &str| run(&["sql", sql, "--data", &data, "--csv"]).0;
    assert_eq!(
        ask("select service, count(*) n from logs where level >= 'warn' group by 1 order by 1"),
        "service,n\r\napp,1\r\nshop,1\r\n"
    );
    assert_eq!(
        ask("select count(*) n from logs where level < 'warn'"),
        "n\r\n1\r\n"
    );
    assert_eq!(
        ask("select count(*) n from logs where level in ('warn', 'error')"),
        "n\r\n2\r\n"
    );
    assert_eq!(
        ask("select fields->>'ms' ms from logs where service = 'shop'"),
        "ms\r\n950\r\n"
    );
    for (condition, expected) in [
        ("time >= '2026-11-01T08:00:01'", 2),
        ("time > '2026-11-01'", 3),
        ("time < '2026-11-01T08:00:01Z'", 1),
        ("time like '%08:00:02%'", 1),
        ("time = '2026-11-01T08:00:01.000000000Z'", 1),
        ("time between '2026-11' and '2026-12'", 3),
        ("time > null", 0),
    ] {
        let answer = ask(&format!("select count(*) n from logs where {condition}"));
        assert_eq!(answer, format!("n\r\n{expected}\r\n"), "{condition}");
    }
    for (sql, expected) in [
        ("selekt 1", "syntax error"),
        ("select * from logs where level >= 'loud'", "is not a level"),
        ("attach 'other.db' as x", "only SELECT"),
        ("create table x(y)", "only SELECT"),
    ] {
        let (code, _, told) = outcome(&["sql", sql, "--data", &data]);
        assert!(code != 0 && told.contains(expected), "{sql}: {told}");
    }
}

#[test]
fn a_sqlite_export_is_a_file_that_any_tool_opens() {
    let directory = imported();
    let (data, out) = (path(&directory, "data"), path(&directory, "logs.sqlite"));
    let arguments = [
        "export",
        "level>=warn",
        "--format",
        "sqlite",
        "--out",
        &out,
        "--data",
        &data,
    ];
    let (_, told) = run(&arguments);
    assert!(told.contains("2 records written"), "{told}");
    let connection = rusqlite::Connection::open(&out).unwrap();
    let query = "select group_concat(level || ' ' || service || ' ' || coalesce(fields, '-'), '; ') from (select * from logs order by time)";
    let found: String = connection.query_row(query, [], |row| row.get(0)).unwrap();
    assert_eq!(found, "error app -; warn shop {\"ms\":950}");
    let (code, _, told) = outcome(&arguments);
    assert!(code != 0 && told.contains("exists already"), "{told}");
    drop(connection);
    // The server opens it too.
    let mut server = Program::start(&["open", &out, "--listen", "127.0.0.1:0"]);
    let page = server.told("  page      ");
    let answer = program::get(&page, "/api/search", None);
    assert!(
        answer.contains("\"service\":\"shop\"") && !answer.contains("started"),
        "{answer}"
    );
    // As one of a data directory it is sound.
    std::fs::create_dir_all(directory.path().join("copy/logs")).unwrap();
    std::fs::copy(&out, directory.path().join("copy/logs/2026-01-01T00-00-00Z.db")).unwrap();
    let (checked, _) = run(&["check", "--data", &path(&directory, "copy")]);
    assert!(
        checked.contains("read: 2 records, 1 block, 1 file\n"),
        "{checked}"
    );
}

#[test]
fn one_file_is_served_read_only_from_wherever_it_is() {
    let directory = imported();
    let logs = std::fs::read_dir(directory.path().join("data/logs")).unwrap();
    let database = logs
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "db"));
    let copy = directory.path().join("incident.db");
    std::fs::copy(database.unwrap(), &copy).unwrap();
    let mut server = Program::start(&["open", copy.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    let page = server.told("  page      ");
    let answer = program::get(&page, "/api/search?q=slow", None);
    assert!(answer.contains("\"service\":\"shop\""), "{answer}");
    let (code, _, told) = outcome(&["open", &path(&directory, "app.log")]);
    assert!(code != 0 && told.contains("app.log"), "{told}");
}

#[test]
fn tokens_are_made_listed_and_removed() {
    let directory = TempDir::new().unwrap();
    let data = path(&directory, "data");
    let (token, _) = run(&["token", "add", "grafana", "--data", &data]);
    assert_eq!(token.trim().len(), 64);
    assert!(
        run(&["token", "list", "--data", &data])
            .0
            .starts_with("grafana\t20")
    );
    run(&["token", "remove", "grafana", "--data", &data]);
    assert_eq!(run(&["token", "list", "--data", &data]).0, "");
    let (code, _, told) = outcome(&["token", "add", "two words", "--data", &data]);
    assert!(code != 0 && told.contains("two words"), "{told}");
}

#[test]
fn every_verb_teaches_by_example_and_shells_complete_them() {
    let (script, _) = run(&["completions", "bash"]);
    for verb in [
        "query",
        "tail",
        "sql",
        "export",
        "import",
        "open",
        "token",
        "completions",
    ] {
        let (help, _) = run(&[verb, "--help"]);
        assert!(
            help.contains("Example") && help.contains(&format!("log-server {verb}")),
            "{verb}: {help}"
        );
        assert!(script.contains(verb), "{verb} is not completed");
    }
}

#[test]
fn records_are_followed_in_a_data_directory() {
    let directory = imported();
    let data = path(&directory, "data");
    let mut tail = Program::start(&["tail", "level:error", "--data", &data]);
    let mut number = 0;
    // Until the tail has begun, what is stored is not new to it.
    let seen = tail.line_while(|| {
        number += 1;
        let file = path(&directory, &format!("more{number}.log"));
        std::fs::write(&file, format!("INFO not this\nERROR number {number}\n")).unwrap();
        run(&["import", &file, "--data", &data]);
    });
    assert!(seen.contains("ERROR number ") && !seen.contains("INFO"), "{seen}");
}

#[test]
fn a_server_is_followed_fed_and_asked_with_a_token() {
    let directory = TempDir::new().unwrap();
    let data = path(&directory, "data");
    let mut server = Program::start(&["--data", &data, "--redis", "private", "--listen", "127.0.0.1:0"]);
    let page = server.told("  page      ");
    let redis = server.told("  services  LOG_LAYER_REDIS_URL=");
    let token = run(&["token", "add", "me", "--data", &data]).0;
    let token = token.trim();

    assert!(program::get(&page, "/api/search", None).starts_with("HTTP/1.0 401"));
    assert!(program::get(&page, "/livez", None).starts_with("HTTP/1.0 200"));
    let (code, _, told) = outcome(&["tail", "--server", &page]);
    assert!(code != 0 && told.contains("wants a token"), "{told}");

    let mut tail = Program::start(&["tail", "level:error", "--server", &page, "--token", token]);
    let mut number = 0;
    let seen = tail.line_while(|| {
        number += 1;
        let file = path(&directory, &format!("shop{number}.log"));
        std::fs::write(&file, format!("INFO not this\nERROR order {number} failed\n")).unwrap();
        let (_, told) = run(&["import", &file, "--redis", &redis, "--service", "shop"]);
        assert!(told.contains("2 records stored"), "{told}");
    });
    assert!(seen.contains("shop: ERROR order "), "{seen}");

    let issues = program::get(&page, "/api/issues", Some(token));
    assert!(
        issues.contains("\"fingerprint\":\"ERROR order * failed\""),
        "{issues}"
    );
    let stats = program::get(&page, "/api/stats?from=-1h", Some(token));
    assert!(stats.contains("\"service\":\"shop\""), "{stats}");
    let metrics = program::get(&page, "/metrics", Some(token));
    assert!(
        metrics.contains("log_server_ingest_records_total ") && metrics.contains("log_server_queue_length"),
        "{metrics}"
    );
    let table = program::get(&page, "/api/search?q=%7C%20count%20by%20service", Some(token));
    assert!(
        table.contains("\"columns\":[{\"name\":\"service\",\"kind\":\"text\"}"),
        "{table}"
    );
}
