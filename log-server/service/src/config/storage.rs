//! What can be configured of the records' files, and asked of them.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::Args;

use super::{ConfigError, DATA, Options};
use crate::store::{self, Keep};

/// What to look at.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Only reads, and works with or without a running server. Ends with 0 when all is well and with 1 when not; what is wrong is said on stdout."
)]
pub struct CheckOptions {
    /// Directory of the records
    #[arg(long, env = "LOG_SERVER_DATA", value_name = "DIR", default_value = DATA)]
    pub data: PathBuf,
}

/// What to copy, and where to.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  log-server backup /mnt/backup/logs-2026-11-22\n  log-server --data /mnt/backup/logs-2026-11-22      serve the copy\n\nThe copy has everything that was acknowledged before it began, is checked, and appears only when it is whole."
)]
pub struct BackupOptions {
    /// A directory that does not exist yet
    #[arg(value_name = "COPY")]
    pub copy: PathBuf,
    /// Directory of the records
    #[arg(long, env = "LOG_SERVER_DATA", value_name = "DIR", default_value = DATA)]
    pub data: PathBuf,
}

/// The write-ahead log alone may take 64 MiB.
const KEEP_BYTES_LEAST: ByteSize = ByteSize::mb(500);

/// How records are kept.
pub(super) fn kept(options: &Options) -> Result<store::Options, ConfigError> {
    if options.keep_bytes.is_some_and(|bytes| bytes < KEEP_BYTES_LEAST) {
        return Err(ConfigError::Value(format!(
            "--keep-bytes: less than {KEEP_BYTES_LEAST} leaves no room to work in"
        )));
    }
    let defaults = store::Options::default();
    Ok(store::Options {
        partition_age: options.file_time.map_or(defaults.partition_age, |time| time.0),
        partition_bytes: options
            .file_bytes
            .map_or(defaults.partition_bytes, |bytes| bytes.0),
        keep: Keep {
            bytes: options.keep_bytes.map(|bytes| bytes.0),
            ..options.keep.iter().copied().collect()
        },
        ..defaults
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::tests::config;
    use crate::store;

    #[test]
    fn what_is_kept_is_said_by_level_and_by_bytes() {
        let from_flags = config(&[
            "--keep",
            "30d,debug=2d",
            "--keep-bytes",
            "50GB",
            "--file-time",
            "12h",
        ])
        .unwrap();
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("config.toml");
        std::fs::write(
            &path,
            "keep = [\"30d\", \"debug=2d\"]\nkeep-bytes = \"50GB\"\nfile-time = \"12h\"\n",
        )
        .unwrap();
        let from_file = config(&["--config", path.to_str().unwrap()]).unwrap();
        assert_eq!(from_flags.store, from_file.store);
        let days = |days: u64| Some(Duration::from_secs(days * 86_400));
        assert_eq!(
            from_file.store.keep.levels,
            [days(30), days(2), days(30), days(30), days(30)]
        );
        assert_eq!(from_file.store.keep.bytes, Some(50_000_000_000));
        assert_eq!(from_file.store.partition_age, Duration::from_secs(12 * 3_600));
        assert_eq!(config(&[]).unwrap().store, store::Options::default());
        for wrong in [
            ["--keep", "loud=2d"],
            ["--keep", "soon"],
            ["--keep-bytes", "1MB"],
            ["--file-time", "0h"],
        ] {
            assert!(config(&wrong).unwrap_err().contains(wrong[0]), "{wrong:?}");
        }
    }
}
