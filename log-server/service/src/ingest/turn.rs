//! One queue has one log-server, or records would lie here and there. A second one, with other data, stands by: it
//! serves what it has, and takes records when the first is gone.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::pin::pin;

use rpc::{Lease, Server};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Whether records can arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// They can.
    Open,
    /// Redis is away, or not found yet.
    Away,
    /// Another server has the queue.
    StandsBy,
}

/// Serves the queue whenever it is this server's turn, until `stop`.
///
/// # Errors
/// What a server ends with, when Redis refuses us.
pub(crate) async fn serve(
    lease: Lease,
    arrival: watch::Sender<Arrival>,
    server: impl Fn() -> Result<Server, rpc::Error>,
    stop: CancellationToken,
) -> Result<(), rpc::Error> {
    let stand_by = |holder: &str| {
        // The name comes from outside.
        tracing::warn!(?holder, "another log-server has the queue; this one stands by");
        arrival.send_replace(Arrival::StandsBy);
    };
    while !stop.is_cancelled() {
        tokio::select! {
            acquired = lease.acquire(stand_by) => acquired?,
            () = stop.cancelled() => return Ok(()),
        }
        if *arrival.borrow() == Arrival::StandsBy {
            tracing::info!("the other log-server is gone; this one takes the queue");
            arrival.send_replace(Arrival::Away);
        }
        let server = server()?;
        let (mut connected, turn) = (server.connected(), stop.child_token());
        let (mut serving, mut lost) = (pin!(server.run(turn.clone())), pin!(lease.lost()));
        loop {
            tokio::select! {
                ended = &mut serving => {
                    ended?;
                    break;
                }
                holder = &mut lost, if !turn.is_cancelled() => {
                    stand_by(&holder);
                    turn.cancel();
                }
                Ok(()) = connected.changed(), if !turn.is_cancelled() => {
                    let open = *connected.borrow_and_update();
                    arrival.send_replace(if open { Arrival::Open } else { Arrival::Away });
                }
            }
        }
    }
    if let Err(error) = lease.give_back().await {
        tracing::debug!(%error, "another log-server waits until the lease ends by itself");
    }
    Ok(())
}

/// The name under which the data's server takes its turn: made once, so that it takes the queue again at once after it
/// was killed. One server at a time has the data, so no two have the name.
///
/// # Errors
/// When it can be neither read nor written.
pub(crate) fn name(data: &Path) -> io::Result<String> {
    let path = data.join("name");
    match fs::read_to_string(&path) {
        Ok(name) if !name.is_empty() => return Ok(name),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let name = format!("{:032x}", u128::from_ne_bytes(random));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)?;
    file.write_all(name.as_bytes())?;
    Ok(name)
}

/// Who we are, for people at the other server.
pub(crate) fn shown(page: &str) -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{page} on {} (process {})", host.trim(), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_data_stays_and_differs_from_others() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = name(one.path()).unwrap();
        assert_eq!(name(one.path()).unwrap(), first);
        assert_ne!(name(other.path()).unwrap(), first);
        fs::write(one.path().join("name"), "").unwrap();
        assert_ne!(name(one.path()).unwrap(), "");
    }
}
