//! What parsing, filtering, sealing and searching cost, on records made here. `cargo bench -p log-engine`.
//!
//! Counts of instructions, which a busy machine does not change, of one of them: `valgrind --tool=callgrind
//! --callgrind-out-file=/dev/null target/release/deps/store-… --bench --test records/parse`, where what is printed as
//! `Collected` is to be compared between two builds.

use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use log_engine::query;
use log_engine::store::{
    Budget, CountOf, Direction, Histogram, Incoming, Parts, Scan, Search, Store, TimeRange,
};
use log_record::{Batch, Timestamp};

const BATCH: usize = 1_000;
const RECORDS: usize = 130_000;

/// Batches of a shop's services, the same at every run.
fn batches() -> Vec<String> {
    const MESSAGES: [(&str, &str); 6] = [
        ("info", "request completed in {} ms, {} bytes written"),
        ("info", "order ord_{} created by user {}"),
        ("error", "connection to 10.0.{}.17:{} failed: connection refused"),
        ("debug", "cache miss for user {}, loading from replica {}"),
        ("info", "用户 {} 登录成功，来源地址 10.2.{}.9"),
        ("warn", "payment for order ord_{} declined by issuer, code {}"),
    ];
    let mut random = fastrand::Rng::with_seed(7);
    let record = |number: usize, random: &mut fastrand::Rng| {
        let (level, template) = random.choice(MESSAGES).expect("there are some");
        let mut message = template.to_owned();
        while let Some(at) = message.find("{}") {
            message.replace_range(at..at + 2, &random.u32(..100_000).to_string());
        }
        serde_json::json!({
            "ts": 1_790_000_000_000_000_000_u64 + number as u64 * 1_000_003,
            "level": level,
            "target": "shop::handler",
            "message": message,
            "fields": {
                "user_id": random.u32(..1_000_000),
                "latency_ms": f64::from(random.u32(..2_000_000)) / 1e3,
                "path": format!("/api/v1/orders/{}", random.u32(..120)),
                "session": format!("{:016x}", random.u64(..)),
            },
            "trace_id": format!("{:032x}", random.u128(..)),
            "spans": [{"name": "http_request"}],
        })
    };
    (0..RECORDS / BATCH)
        .map(|no| {
            let service = ["gateway", "payment", "auth", "search"][no % 4];
            let records: Vec<_> = (0..BATCH).map(|n| record(no * BATCH + n, &mut random)).collect();
            serde_json::json!({"source": {"service": service, "boot": service}, "no": no + 1, "records": records})
                .to_string()
        })
        .collect()
}

fn append(store: &Store, runtime: &tokio::runtime::Runtime, batches: &[String]) {
    for text in batches {
        let arrived = Timestamp::now();
        let incoming = Incoming::read(text, arrived).expect("it was made here");
        runtime.block_on(store.append(incoming)).expect("there is room");
    }
}

/// Waits until what fills blocks is sealed.
fn sealed(store: &Store) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while store.statistics().blocks < RECORDS / 65_536 {
        assert!(Instant::now() < deadline, "nothing was sealed");
        std::thread::sleep(Duration::from_millis(10)); // polling: the sealer works in its own time
    }
}

/// Reading batches, and asking their records one by one: what the newest records cost.
fn records(criterion: &mut Criterion) {
    let arrived = Timestamp::now();
    let text = &batches()[0];
    let mut group = criterion.benchmark_group("records");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("parse", |bench| {
        bench.iter(|| Batch::parse(text, arrived).expect("it was made here"));
    });
    let batch = Batch::parse(text, arrived).expect("it was made here");
    for query in [
        "connection refused",
        "latency_ms>1990",
        "message:/user \\d+77\\b/",
    ] {
        let filter = query::parse(query).expect("it is a query").filter;
        let mut scratch = query::Scratch::default();
        group.bench_function(format!("filter by `{query}`"), |bench| {
            bench.iter(|| {
                let records = batch.records.iter();
                let found = records.filter(|record| filter.matches(record, &batch.source, &mut scratch));
                found.count()
            });
        });
    }
    group.finish();
}

fn store(criterion: &mut Criterion) {
    let batches = batches();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let mut group = criterion.benchmark_group("store");
    group.sample_size(10);
    group.throughput(Throughput::Elements(RECORDS as u64));
    group.bench_function("append and seal", |bench| {
        bench.iter_batched(
            || tempfile::tempdir().expect("a directory"),
            |directory| {
                let store = Store::open(directory.path()).expect("an empty directory");
                append(&store, &runtime, &batches);
                sealed(&store);
                store.close();
                directory
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();

    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("an empty directory");
    append(&store, &runtime, &batches);
    sealed(&store);
    let mut group = criterion.benchmark_group("search");
    for text in [
        "",
        "zebrafinch",
        "message:connection",
        "connection refused",
        "ord_9999",
        "latency_ms>1990 service:payment",
        "message:/user \\d+77\\b/",
        "登录",
    ] {
        let filter = query::parse(text).expect("it is a query").filter;
        group.bench_function(format!("newest 100 of `{text}`"), |bench| {
            bench.iter(|| {
                let budget = Budget::until(Instant::now() + Duration::from_secs(60));
                let search = Search {
                    filter: &filter,
                    range: TimeRange::ALL,
                    after: None,
                    direction: Direction::Older,
                    limit: 100,
                    budget: &budget,
                };
                store.search(&search).expect("it is readable")
            });
        });
    }
    let filter = query::parse("").expect("it is a query").filter;
    group.bench_function("histogram", |bench| {
        bench.iter(|| {
            let budget = Budget::until(Instant::now() + Duration::from_secs(60));
            let histogram = Histogram {
                filter: &filter,
                range: TimeRange::ALL,
                buckets: 60,
                budget: &budget,
            };
            store.histogram(&histogram).expect("it is readable")
        });
    });
    let path = query::Field::named("path");
    group.bench_function("values of a field", |bench| {
        bench.iter(|| {
            let budget = Budget::until(Instant::now() + Duration::from_secs(60));
            let scan = Scan {
                filter: &filter,
                range: TimeRange::ALL,
                parts: Parts::All,
                budget: &budget,
            };
            store.count(&scan, CountOf::Values(&path), || 0, |sum, _, count| *sum += count)
        });
    });
    group.finish();
    store.close();
}

criterion_group!(benches, records, store);
criterion_main!(benches);
