//! Files of older formats, and what opening a file does to it.

use super::files::*;
use super::*;

#[tokio::test]
async fn a_file_of_the_first_format_goes_on_where_it_was() {
    let data = TempDir::new().unwrap();
    let path = data.path().join("logs/2026-01-02T03-04-05Z.db");
    std::fs::create_dir(data.path().join("logs")).unwrap();
    schema::create_format(&path, 1);
    let writer = rusqlite::Connection::open(&path).unwrap();
    let record = |no: i64| format!(r#"{{"ts":{},"message":"{no}"}}"#, ARRIVED.as_nanos() + no);
    for no in 1..=3_i64 {
        let record = record(no);
        let text = format!(r#"{{"source":{{"service":"s","boot":"b"}},"no":{no},"records":[{record}]}}"#);
        let payload = tail::with_payload(&text, <[u8]>::to_vec);
        let time = ARRIVED.as_nanos() + no;
        let values = rusqlite::params![no, "b", no, time, 1, time, time, tail::hash(&text), payload];
        writer
            .execute(
                "INSERT INTO batches VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                values,
            )
            .unwrap();
    }
    drop(writer);
    let older = Store::open_to_read(data.path())
        .err()
        .expect("it is older")
        .to_string();
    assert!(
        older.contains("format 1") && older.contains("starting the server"),
        "{older}"
    );
    let store = open(&data, eager());
    assert_eq!(messages(&store, ""), ["3", "2", "1"]);
    assert_eq!(
        stored(&store, batch("b", 2, &record(2))).await,
        Appended::Duplicate
    );
    until_sealed(&store);
    assert_eq!(
        stored(&store, batch("b", 2, &record(2))).await,
        Appended::Duplicate
    );
    assert_eq!(stored(&store, batch("b", 4, &record(4))).await, Appended::Stored);
    assert_eq!(messages(&store, ""), ["4", "3", "2", "1"]);
    store.close();
    check_sound(&data);
}

#[tokio::test]
async fn a_file_of_the_second_format_knows_its_batches_and_no_record_numbers_yet() {
    let data = TempDir::new().unwrap();
    let path = data.path().join("logs/2026-01-02T03-04-05Z.db");
    std::fs::create_dir(data.path().join("logs")).unwrap();
    schema::create_format(&path, 2);
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch("INSERT INTO boots VALUES (1, 'b', 3, x'', 1)")
        .unwrap();
    // Who only reads takes it as it is.
    let reader = Store::open_to_read(data.path()).unwrap();
    assert_eq!(page(&reader, "", TimeRange::ALL, None, 10).partial, None);
    drop(reader);
    let store = open(&data, eager());
    assert_eq!(store.received("b").unwrap(), Received::default());
    assert_eq!(
        stored(&store, batch("b", 3, r#"{"seq":3}"#)).await,
        Appended::Duplicate
    );
    for (no, numbers) in [(4, r#"{"seq":4},{"seq":5}"#), (5, r#"{"seq":9}"#)] {
        assert_eq!(stored(&store, batch("b", no, numbers)).await, Appended::Stored);
        until_sealed(&store);
    }
    let holes = || store.received("b").unwrap().holes();
    assert_eq!(
        (holes(), store.unsettled_runs(9).unwrap()),
        (vec![6..=8], vec!["b".to_owned()])
    );
    store.close();
    // What is carried on to the next file is the same.
    let store = open(&data, restless());
    until(&store, "a further partition", |statistics| {
        statistics.partitions > 2
    });
    assert_eq!(store.received("b").unwrap().holes(), [6..=8]);
    store.close();
}

#[tokio::test]
async fn blocks_of_older_formats_are_read_merged_and_deleted_as_others_are() {
    for format in [3, 4, 5] {
        let data = TempDir::new().unwrap();
        let store = open(&data, eager());
        for no in 1..=3 {
            stored(&store, batch("b", no, r#"{"message":"m","fields":{"n":1}}"#)).await;
            until_sealed(&store);
        }
        let known = everything(&store);
        store.close();
        let path = &partitions(&data)[0];
        let writer = rusqlite::Connection::open(path).unwrap();
        columns::keep_as(&writer, format);
        writer.pragma_update(None, "user_version", format as i64).unwrap();
        drop(writer);
        let reader = Store::open_to_read(data.path()).unwrap();
        assert_eq!(everything(&reader), known);
        drop(reader);
        check_sound(&data);
        // Closed, so that its blocks become one.
        let store = open(&data, restless());
        until(&store, "one block", |statistics| {
            statistics.partitions == 2 && statistics.blocks == 1
        });
        assert_eq!(everything(&store), known);
        store.close();
        check_sound(&data);
    }
}

#[test]
fn opening_a_file_for_writing_writes_nothing_to_it() {
    let data = TempDir::new().unwrap();
    let path = data.path().join("one.db");
    std::fs::write(&path, "").unwrap();
    let first = schema::open_writer(&path).unwrap();
    let version = || first.query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0));
    let before = version().unwrap();
    schema::open_writer(&path).unwrap();
    assert_eq!(version().unwrap(), before, "another connection has written");
}

#[tokio::test]
async fn an_older_partition_of_an_older_format_is_brought_up_to_date_when_it_is_needed() {
    let data = TempDir::new().unwrap();
    let store = open(&data, Options::default());
    stored(&store, batch("b", 1, r#"{"message":"m"}"#)).await;
    store.close();
    let path = data.path().join("logs/2026-01-02T03-04-05Z.db");
    schema::create_format(&path, 1);
    let store = open(&data, Options::default());
    let found = page(&store, "", TimeRange::ALL, None, 10);
    assert_eq!((found.records.len(), found.partial), (1, None));
    store.close();
    let reader = schema::open_reader(&path).unwrap();
    let format = schema::format(&reader, &path).unwrap();
    assert_eq!(format, schema::Format::Version(schema::VERSION));
}
