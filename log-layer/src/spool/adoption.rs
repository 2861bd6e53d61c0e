//! Folders of runs: a new one for this run, and those that ended before everything was delivered.
//!
//! Promises: a folder has one owner at a time, and none whose process has ended; whatever stands in it is read once, from
//! end to end; a segment with damage is moved to quarantine when what is left of it is delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::fork;

use super::frame::{Frames, Kind};
use super::segment::{self, Segments};
use super::{Part, QUARANTINE, Spool, SpoolOrders, quarantine};
use crate::ranges::Ranges;

const LOCK: &str = "lock";

/// Holds who sends, as JSON: batches that were not sealed need it.
const SOURCE: &str = "source.json";

/// Far beyond what a segment grows to; of a longer file only the beginning is ours.
const LONGEST_SEGMENT: u64 = 64 << 20;

/// What was found of an earlier run.
#[derive(Debug)]
pub(crate) struct Adoption {
    /// Its batches, all waiting.
    pub(crate) spool: Spool,
    /// Who sent, as JSON.
    pub(crate) source: String,
    /// Batches that were never sealed, by number: the insides of dictionary and list, and how many records.
    pub(crate) unsealed: BTreeMap<u64, Unsealed>,
    /// Bytes that could not be read; their segments are in quarantine when this is not zero.
    pub(crate) damaged: usize,
}

/// A batch that was being filled.
#[derive(Debug, Default)]
pub(crate) struct Unsealed {
    pub(crate) callsites: Vec<u8>,
    pub(crate) list: Vec<u8>,
    pub(crate) records: u32,
}

/// The folder of a new run.
///
/// # Errors
/// What makes the directory unusable.
pub(crate) fn create(orders: &SpoolOrders, service: &str, boot: &str, source: &str) -> io::Result<Spool> {
    let home = orders.directory.join(folder_name(service));
    create_folder(&home)?;
    // Under another name until it is locked: a folder without a locked lock is an orphan's.
    let unlocked = home.join(format!(".{boot}"));
    create_folder(&unlocked)?;
    let lock = segment::create_file(&unlocked.join(LOCK))?;
    lock.lock()?;
    segment::create_file(&unlocked.join(SOURCE))?.write_all(source.as_bytes())?;
    let folder = home.join(boot);
    fs::rename(&unlocked, &folder)?;
    // Who writes ahead fears the end of the process; syncing all the time would cost a disk all its time.
    Ok(empty(folder, lock, orders.bytes, !orders.write_ahead))
}

/// The next folder whose process has ended and that is not among `known`, which then has it.
pub(crate) fn adopt(
    directory: &Path,
    service: &str,
    known: &mut BTreeSet<PathBuf>,
) -> Option<io::Result<Adoption>> {
    let home = directory.join(folder_name(service));
    let folders = fs::read_dir(home).ok()?.flatten().map(|entry| entry.path());
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || name == QUARANTINE || known.contains(&folder) {
            continue;
        }
        // One without a lock is none of ours, or another process has just delivered it.
        let Ok(lock) = File::options().write(true).open(folder.join(LOCK)) else {
            continue;
        };
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => continue,
        }
        known.insert(folder.clone());
        return Some(read(folder, lock));
    }
    None
}

fn empty(folder: PathBuf, lock: File, limit: u64, durable: bool) -> Spool {
    Spool {
        segments: Segments::new(folder.clone(), limit, durable),
        folder,
        _parents: fork::parents_lock(&lock),
        _lock: lock,
        held: BTreeMap::new(),
        parts: Vec::new(),
    }
}

/// Finds everything that is not settled in a run's segments.
fn read(folder: PathBuf, lock: File) -> io::Result<Adoption> {
    let source = fs::read_to_string(folder.join(SOURCE))?;
    // It only shrinks, but for what must be noted while it does.
    let mut spool = empty(folder, lock, u64::MAX, true);
    let mut unsealed: BTreeMap<u64, Unsealed> = BTreeMap::new();
    let (mut seen, mut settled) = (Ranges::default(), Ranges::default());
    let mut damaged = 0;
    let mut numbers: Vec<u64> = fs::read_dir(&spool.folder)?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".log")?.parse().ok())
        .collect();
    numbers.sort_unstable();
    for number in numbers {
        let mut bytes = Vec::new();
        let path = spool.segments.path(number);
        File::open(&path)?.take(LONGEST_SEGMENT).read_to_end(&mut bytes)?;
        spool.segments.adopt(number, bytes.len() as u64);
        let mut frames = Frames::new(&bytes);
        for (_, frame) in frames.by_ref() {
            match frame.kind {
                Kind::Part => {
                    let batch = unsealed.entry(frame.no).or_default();
                    if let Some(part) = Part::from_bytes(frame.records, frame.payload)
                        && part.before == batch.records
                    {
                        append(&mut batch.callsites, part.callsites);
                        append(&mut batch.list, part.list);
                        batch.records += part.records;
                    }
                }
                Kind::Batch => {
                    unsealed.remove(&frame.no);
                    if !seen.contains(frame.no) {
                        seen.insert(frame.no..frame.no + 1);
                        spool.segments.found(number, frame.no);
                    }
                }
                Kind::Done => {
                    settled.insert(frame.no..frame.no + 1);
                }
            }
        }
        if frames.skipped > 0 {
            damaged += frames.skipped;
            keep_damaged(&spool.folder, &path)?;
        }
    }
    spool.segments.forget(&settled);
    unsealed.retain(|no, _| !settled.contains(*no));
    Ok(Adoption {
        spool,
        source,
        unsealed,
        damaged,
    })
}

/// A second name for a segment with damage, so that it stays when its batches are delivered.
fn keep_damaged(folder: &Path, segment: &Path) -> io::Result<()> {
    let of = |path: &Path| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let kept = quarantine(folder)?.join(format!("{}-{}", of(folder), of(segment)));
    match fs::hard_link(segment, kept) {
        // Kept when it was read before.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}

impl<'a> Part<'a> {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let len = u32::try_from(self.callsites.len()).expect("a batch is far below 4 GiB");
        [
            &self.before.to_le_bytes()[..],
            &len.to_le_bytes(),
            self.callsites,
            self.list,
        ]
        .concat()
    }

    fn from_bytes(records: u32, bytes: &'a [u8]) -> Option<Part<'a>> {
        let (before, rest) = bytes.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let (callsites, list) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        Some(Part {
            before: u32::from_le_bytes(*before),
            records,
            callsites,
            list,
        })
    }
}

/// Adds to the inside of a JSON list.
fn append(list: &mut Vec<u8>, part: &[u8]) {
    if !list.is_empty() && !part.is_empty() {
        list.push(b',');
    }
    list.extend_from_slice(part);
}

/// Any service's name as that of a folder.
fn folder_name(service: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let mut name = String::new();
    for byte in service.bytes().take(100) {
        match byte {
            byte if plain(byte) => name.push(char::from(byte)),
            byte => name.push_str(&format!("%{byte:02x}")),
        }
    }
    if name.is_empty() { "%".to_owned() } else { name }
}

pub(super) fn create_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
