//! How replies find their calls. Rust servers put them all into this client's inbox, which one task reads on a
//! connection of its own. Python servers make a list for each reply; another task looks for those, more and more
//! seldom, of the calls that the inbox did not answer quickly.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Pending;
use super::call::undecodable;
use crate::connection::{BLOCK, Backoff, Connection, Endpoint, RedisResult, Shared, cmd, pipe};
use crate::envelope::Reply;
use crate::keys::Keys;
use crate::repair;

/// How many replies are fetched at once: enough to empty the inbox of a busy client in a few round trips.
const DRAIN: usize = 128;

/// Between two looks for Python's replies, as long as any call waits.
const LOOK: Duration = Duration::from_millis(20);

/// Reads the inbox for ever.
pub(super) async fn read(endpoint: Endpoint, inbox: String, pending: Arc<Pending>) {
    let mut backoff = Backoff::default();
    loop {
        if let Ok(mut connection) = endpoint.dedicated().await {
            while let Ok(replies) = fetch(&mut connection, &inbox).await {
                backoff = Backoff::default();
                for reply in replies {
                    deliver(&reply, &pending);
                }
            }
            pending.losses.send_replace(());
        }
        // The shared connection fails at the same time and reports why.
        backoff.pause().await;
    }
}

/// Waits for replies. This future is never dropped while Redis works on it, except with the client itself.
async fn fetch(connection: &mut Connection, inbox: &str) -> RedisResult<Vec<Vec<u8>>> {
    let first: Option<(String, Vec<u8>)> = cmd("BLPOP")
        .arg(inbox)
        .arg(BLOCK.as_secs())
        .query_async(connection)
        .await?;
    let Some((_, first)) = first else {
        return Ok(Vec::new());
    };
    let more: Option<Vec<Vec<u8>>> = cmd("LPOP").arg(inbox).arg(DRAIN).query_async(connection).await?;
    let mut replies = vec![first];
    replies.extend(more.unwrap_or_default());
    Ok(replies)
}

fn deliver(reply: &[u8], pending: &Pending) {
    match repair::parse::<Reply>(&String::from_utf8_lossy(reply)) {
        Ok(Reply {
            id: Some(id),
            code,
            result,
        }) => {
            pending.complete(
                &id.to_string(),
                Ok(Reply {
                    id: None,
                    code,
                    result,
                }),
            );
        }
        Ok(Reply { id: None, .. }) => tracing::debug!("a reply without an id is in the inbox"),
        // The error would quote the reply.
        Err(_) => tracing::debug!(bytes = reply.len(), "the inbox holds what is no reply"),
    }
}

/// Looks for Python's replies for ever.
pub(super) async fn sweep(shared: Shared, keys: Keys, pending: Arc<Pending>) {
    loop {
        if pending.is_empty() {
            pending.busy.notified().await;
        }
        tokio::time::sleep(LOOK).await;
        let due = pending.due(Instant::now());
        if due.is_empty() {
            continue;
        }
        let mut commands = pipe();
        for id in &due {
            commands.lpop(keys.reply(id), None);
        }
        // A reply that was popped into a broken connection is lost; its call times out, or is repeated.
        let Ok(replies) = shared.run::<Vec<Option<Vec<u8>>>>(&commands).await else {
            pending.losses.send_replace(());
            continue;
        };
        for (id, reply) in due.iter().zip(replies) {
            let Some(reply) = reply else { continue };
            let text = String::from_utf8_lossy(&reply);
            pending.complete(
                id,
                repair::parse(&text).map_err(|source| undecodable(source, &text)),
            );
        }
    }
}
