//! A process that logs, and the Redis and the log server that it logs to.

use std::collections::HashMap;
use std::process::{ExitStatus, Stdio, exit};
use std::time::Duration;

use log_layer::Builder;
use rpc::Fault;
use serde_json::{Value, json};

use crate::collector::{Collector, batches};
use crate::own_process::{self, Running};
use crate::redis::{Place, Redis};
use crate::runs::whole_runs;
use crate::wait::until_within;

/// Whatever takes longer hangs.
const LIMIT: Duration = Duration::from_secs(30);

/// The path of the test in which it stands, as the test runner knows it.
macro_rules! here {
    () => {{
        fn inner() {}
        $crate::lesson::path_of(inner)
    }};
}
pub(crate) use here;

pub(crate) fn path_of<F>(_: F) -> &'static str {
    let path = std::any::type_name::<F>();
    let path = path.strip_suffix("::inner").expect("the macro names it so");
    let path = path
        .split("::{{closure}}")
        .next()
        .expect("there is always a first part");
    path.split_once("::").expect("a test is in a module of a crate").1
}

/// A process to be started.
pub(crate) struct Lesson {
    test: &'static str,
    settings: HashMap<&'static str, String>,
    pub(crate) place: Place,
    limit: Duration,
}

/// What became of it.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
    /// The batches that arrived.
    pub(crate) texts: Vec<String>,
}

/// In the process that logs: runs `body` and ends. Otherwise: what is needed to start that process.
pub(crate) fn lesson(test: &'static str, body: impl FnOnce()) -> Lesson {
    if own_process::is_it() {
        body();
        exit(0);
    }
    Lesson {
        test,
        settings: HashMap::new(),
        place: Place::new(),
        limit: LIMIT,
    }
}

/// How the layer is set up in that process, where a test wants more than `log_layer::init`.
pub(crate) fn builder() -> Builder {
    log_layer::builder("lessons").flush_timeout(LIMIT)
}

/// What the test has told the process that logs.
pub(crate) fn setting(name: &str) -> String {
    std::env::var(name).unwrap()
}

/// The server's answer to a batch that it has stored.
pub(crate) fn stored() -> Result<Value, Fault> {
    Ok(json!({"stored": 1, "duplicate": false, "rejected": []}))
}

impl Lesson {
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Lesson {
        self.settings.insert(name, value.into());
        self
    }

    /// It has something to do for so long.
    pub(crate) fn taking(mut self, time: Duration) -> Lesson {
        self.limit += time;
        self
    }

    /// Runs it with Redis and a server that stores everything.
    #[track_caller]
    pub(crate) fn run(self) -> Ended {
        self.run_answering(|_, _| stored())
    }

    #[track_caller]
    pub(crate) fn run_answering(
        self,
        answer: impl Fn(&str, usize) -> Result<Value, Fault> + Send + Sync + 'static,
    ) -> Ended {
        let redis = self.place.start();
        let collector = Collector::answering(&redis.url(), answer);
        let process = self.start_with(&redis);
        self.end(process, &collector)
    }

    /// Starts the process alone. Redis will be, or is, at the place.
    pub(crate) fn start(&self) -> Running {
        let settings: Vec<(&str, &str)> = self
            .settings
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        let mut command = own_process::again(self.test, &self.place.url(), &settings);
        // What the test runner says in there is of no interest.
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        Running(command.spawn().unwrap())
    }

    /// The same, and it learns which process Redis is.
    pub(crate) fn start_with(&self, redis: &Redis) -> Running {
        let settings = self.settings.iter().map(|(name, value)| (*name, value.clone()));
        let settings = settings
            .chain([("REDIS_PROCESS", redis.process.id().to_string())])
            .collect();
        let lesson = Lesson {
            settings,
            place: self.place.clone(),
            ..*self
        };
        lesson.start()
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn end(&self, mut process: Running, collector: &Collector) -> Ended {
        let mut stderr = process.0.stderr.take().unwrap();
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            // Whatever is no text is shown by the test that fails of it.
            let _ = std::io::Read::read_to_string(&mut stderr, &mut text);
            text
        });
        let status = until_within(self.limit, "the process ends", || process.0.try_wait().unwrap());
        let stderr = reading.join().unwrap();
        // Shown if the test fails, or if somebody wants to see what was measured.
        eprint!("{stderr}");
        Ended {
            status,
            stderr,
            texts: collector.texts(),
        }
    }
}

impl Ended {
    /// The records that arrived, of all runs; each run's without gap or repeat, and all of them readable to the server.
    #[track_caller]
    pub(crate) fn records(&self) -> Vec<Value> {
        for text in &self.texts {
            let arrived = "2026-11-22T00:00:00Z".parse().unwrap();
            let batch = log_record::Batch::parse(text, arrived).unwrap();
            assert_eq!(batch.rejected, [], "the server must be able to read every record");
        }
        whole_runs(&self.texts).into_values().flatten().collect()
    }

    /// The number that it has told behind that word.
    #[track_caller]
    pub(crate) fn told(&self, word: &str) -> u64 {
        let mut lines = self.stderr.lines();
        let number = lines.find_map(|line| line.strip_prefix(word)?.trim().parse().ok());
        number.unwrap_or_else(|| panic!("it has not told {word}: {}", self.stderr))
    }

    /// How many records the layer says were dropped.
    pub(crate) fn declared(&self) -> u64 {
        let lines = batches(&self.texts);
        let lines = lines
            .iter()
            .flat_map(|batch| batch["dropped"].as_array().unwrap());
        lines.map(|line| line["count"].as_u64().unwrap()).sum()
    }

    /// It ended well, and all that was logged is stored or declared. Returns what is stored.
    #[track_caller]
    pub(crate) fn account(&self, logged: u64) -> Vec<Value> {
        assert!(self.status.success(), "{}\n{}", self.status, self.stderr);
        let records = self.records();
        let (stored, declared) = (records.len() as u64, self.declared());
        assert_eq!(
            stored + declared,
            logged,
            "{stored} stored, {declared} declared\n{}",
            self.stderr
        );
        records
    }

    /// The same, and nothing is dropped.
    #[track_caller]
    pub(crate) fn all(&self, logged: u64) -> Vec<Value> {
        let records = self.account(logged);
        assert_eq!(self.declared(), 0, "{}", self.stderr);
        records
    }
}

/// Runs a lesson until it takes no more milliseconds than that, as it tells behind the word `took`; a machine that is at
/// work elsewhere may need a few attempts.
#[track_caller]
pub(crate) fn quickest(milliseconds: u64, mut run: impl FnMut() -> Ended) {
    let took: Vec<u64> = (0..5).map(|_| run().told("took")).collect();
    assert!(took.iter().any(|took| *took < milliseconds), "{took:?} ms");
}

/// How many of them say that.
pub(crate) fn count(records: &[Value], message: &str) -> usize {
    records
        .iter()
        .filter(|record| record["message"] == message)
        .count()
}
