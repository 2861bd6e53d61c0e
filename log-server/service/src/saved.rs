//! The searches that people saved, and the alerts among them: kept in `saved.json` in the data directory.
//!
//! Promises: what was answered as kept is on disk; the file is whole at any moment (written beside, then renamed); a
//! file that cannot be read stops the start instead of being overwritten. One thread owns the file. Knows nothing of
//! HTTP, and not what a query means.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

/// The version of the file's format.
const VERSION: u32 = 1;
/// Each alert costs a query every few seconds; a team has fewer searches than this that it knows by name.
const MOST: usize = 200;
/// Characters of a name.
const NAME_MOST: usize = 200;
/// Bytes of a query and of a webhook's address.
const TEXT_MOST: usize = 16 * 1024;
/// Shorter windows would fall between two looks, longer ones cost a scan of days every few seconds.
const WINDOW: std::ops::RangeInclusive<u64> = 30..=86_400;
/// Seconds between two notices; a week at most.
const COOLDOWN_MOST: u64 = 7 * 86_400;

/// A search with a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedSearch {
    /// What people call it.
    pub name: String,
    /// The query.
    pub q: String,
    /// Where its range begins when it is opened, as the API takes it.
    #[serde(default)]
    pub from: String,
    /// When somebody is to be told.
    #[serde(default)]
    pub alert: Option<Alert>,
}

/// When and where to tell that a search has too many records, or too few.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// How many records.
    pub threshold: u64,
    /// Whether more are too many; otherwise fewer are too few.
    #[serde(default = "yes")]
    pub above: bool,
    /// Within how many seconds.
    pub window_s: u64,
    /// The address that is told, by a POST of JSON.
    pub webhook: String,
    /// The shortest time between two notices, in seconds.
    #[serde(default)]
    pub cooldown_s: u64,
    /// Whether it is switched on.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

/// A search that is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name for programs.
    pub id: String,
    /// What is kept.
    #[serde(flatten)]
    pub search: SavedSearch,
    /// What became of its alert.
    #[serde(default)]
    pub state: AlertState,
}

/// What became of an alert.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AlertState {
    /// When it fired last, RFC 3339.
    pub last_fired: Option<String>,
    /// Why the last notice did not arrive.
    pub last_error: Option<String>,
}

/// Why something is not kept.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SavedError {
    /// There is none of that id.
    #[error("there is no saved search {0}")]
    Unknown(String),
    /// It cannot be kept as it is.
    #[error("{0}")]
    Refused(String),
    /// The file cannot be read or written.
    #[error("{path}: {why}")]
    File {
        /// Which file.
        path: String,
        /// What is the matter.
        why: String,
    },
    /// The server is stopping.
    #[error("the server is stopping")]
    Closed,
}

#[derive(Serialize, Deserialize)]
struct Contents {
    version: u32,
    saved: Vec<Entry>,
}

enum Change {
    Keep {
        id: Option<String>,
        search: SavedSearch,
    },
    Forget(String),
    Tell {
        id: String,
        state: AlertState,
    },
    /// Nothing; the thread ends.
    Close,
}

type Asked = (Change, oneshot::Sender<Result<Option<Entry>, SavedError>>);

/// The saved searches of one data directory. Cheap to clone.
#[derive(Clone)]
pub struct Saved {
    changes: mpsc::Sender<Asked>,
    entries: watch::Receiver<Arc<Vec<Entry>>>,
}

impl Saved {
    /// Reads what is kept in the directory; the handle is of the thread that will write it.
    ///
    /// # Errors
    /// [`SavedError::File`] when the file is there and cannot be understood.
    pub fn open(data: &Path) -> Result<(Saved, std::thread::JoinHandle<()>), SavedError> {
        let path = data.join("saved.json");
        let entries = read(&path)?;
        let (changes, asked) = mpsc::channel(16);
        let (publish, entries) = watch::channel(Arc::new(entries));
        let thread = std::thread::Builder::new().name("saved-searches".into());
        let thread = thread.spawn(move || {
            Keeper {
                path,
                entries: publish,
            }
            .run(asked);
        });
        let thread = thread.map_err(|error| SavedError::File {
            path: "saved-searches".into(),
            why: format!("no thread: {error}"),
        })?;
        Ok((Saved { changes, entries }, thread))
    }

    /// All of them, in the order they were made.
    pub fn all(&self) -> Arc<Vec<Entry>> {
        self.entries.borrow().clone()
    }

    /// Keeps a search: a new one, or the one of that id as it is now.
    ///
    /// # Errors
    /// [`SavedError`]; nothing has changed then.
    pub async fn keep(&self, id: Option<String>, search: SavedSearch) -> Result<Entry, SavedError> {
        check(&search)?;
        let kept = self.change(Change::Keep { id, search }).await?;
        Ok(kept.expect("a search that was kept is answered"))
    }

    /// Forgets a search.
    ///
    /// # Errors
    /// [`SavedError::Unknown`] when there is none of that id.
    pub async fn forget(&self, id: String) -> Result<(), SavedError> {
        self.change(Change::Forget(id)).await.map(drop)
    }

    /// Keeps what became of an alert.
    ///
    /// # Errors
    /// [`SavedError::Unknown`] when it is gone meanwhile.
    pub(crate) async fn tell(&self, id: String, state: AlertState) -> Result<(), SavedError> {
        self.change(Change::Tell { id, state }).await.map(drop)
    }

    /// Ends the thread, whoever still has a clone of this: from then on nothing can be changed.
    pub(crate) async fn close(&self) {
        // It may be closed already.
        let _ = self.change(Change::Close).await;
    }

    async fn change(&self, change: Change) -> Result<Option<Entry>, SavedError> {
        let (done, answer) = oneshot::channel();
        let sent = self.changes.send((change, done)).await;
        sent.map_err(|_| SavedError::Closed)?;
        answer.await.map_err(|_| SavedError::Closed)?
    }
}

/// The one who writes.
struct Keeper {
    path: PathBuf,
    entries: watch::Sender<Arc<Vec<Entry>>>,
}

impl Keeper {
    fn run(self, mut asked: mpsc::Receiver<Asked>) {
        while let Some((change, done)) = asked.blocking_recv() {
            let is_last = matches!(change, Change::Close);
            // Who asked may have gone away; what was kept stays kept.
            let _ = done.send(self.apply(change));
            if is_last {
                return;
            }
        }
    }

    fn apply(&self, change: Change) -> Result<Option<Entry>, SavedError> {
        let mut entries = Vec::clone(&self.entries.borrow());
        let place = |id: &str| {
            let place = entries.iter().position(|entry| entry.id == id);
            place.ok_or_else(|| SavedError::Unknown(id.to_owned()))
        };
        let answer = match change {
            Change::Keep { id: Some(id), search } => {
                let place = place(&id)?;
                entries[place].search = search;
                Some(entries[place].clone())
            }
            Change::Keep { id: None, search } => {
                if entries.len() >= MOST {
                    return Err(SavedError::Refused(format!(
                        "there are {MOST} already; delete one first"
                    )));
                }
                let id = format!("{:016x}", fastrand::u64(..));
                let state = AlertState::default();
                let entry = Entry { id, search, state };
                entries.push(entry.clone());
                Some(entry)
            }
            Change::Forget(id) => {
                let place = place(&id)?;
                Some(entries.remove(place))
            }
            Change::Tell { id, state } => {
                let place = place(&id)?;
                entries[place].state = state;
                None
            }
            Change::Close => return Ok(None),
        };
        self.write(&entries)?;
        self.entries.send_replace(Arc::new(entries));
        Ok(answer)
    }

    fn write(&self, entries: &[Entry]) -> Result<(), SavedError> {
        let contents = Contents {
            version: VERSION,
            saved: entries.to_vec(),
        };
        let text = serde_json::to_vec_pretty(&contents).expect("it serialises without I/O");
        let beside = self.path.with_extension("json.new");
        let written = || -> std::io::Result<()> {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&beside)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&beside, &self.path)?;
            // The new name has to survive a power cut too.
            File::open(self.path.parent().expect("the file is in the data directory"))?.sync_all()
        };
        written().map_err(|error| unusable(&self.path, &error))
    }
}

fn read(path: &Path) -> Result<Vec<Entry>, SavedError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unusable(path, &error)),
    };
    let contents: Contents = serde_json::from_slice(&text).map_err(|error| unusable(path, &error))?;
    if contents.version > VERSION {
        let why = format!(
            "written by a newer log-server (format {}, this one reads {VERSION})",
            contents.version
        );
        return Err(unusable(path, &why));
    }
    Ok(contents.saved)
}

fn unusable(path: &Path, why: &impl ToString) -> SavedError {
    SavedError::File {
        path: path.display().to_string(),
        why: why.to_string(),
    }
}

/// Whether it can be kept, worded for who wrote it.
fn check(search: &SavedSearch) -> Result<(), SavedError> {
    let refused = |why: String| Err(SavedError::Refused(why));
    let name = search.name.trim();
    if name.is_empty() || name.chars().count() > NAME_MOST {
        return refused(format!("a name has 1 to {NAME_MOST} characters"));
    }
    if search.q.len() > TEXT_MOST || search.from.len() > 100 {
        return refused(format!("a query has at most {TEXT_MOST} bytes"));
    }
    let Some(alert) = &search.alert else {
        return Ok(());
    };
    if !WINDOW.contains(&alert.window_s) {
        let (least, most) = (Duration::from_secs(*WINDOW.start()), WINDOW.end() / 3600);
        return refused(format!("an alert looks at {least:?} to {most} hours"));
    }
    if alert.cooldown_s > COOLDOWN_MOST {
        return refused("an alert is silent for a week at most".into());
    }
    if !alert.above && alert.threshold == 0 {
        return refused("there are never fewer than 0 records".into());
    }
    if alert.webhook.len() > TEXT_MOST {
        return refused(format!("an address has at most {TEXT_MOST} bytes"));
    }
    crate::alerts::webhook_address(&alert.webhook)
        .map(drop)
        .map_err(SavedError::Refused)
}
