//! How replies find their calls. Servers of this crate put them all into this client's inbox, which one task reads on a
//! connection of its own. Python servers make a list for each reply: as long as there are any, the same task waits for
//! the oldest of those lists as well, and another looks for the others, more and more seldom.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use super::call::undecodable;
use super::pending::{Outcome, Pending};
use crate::connection::{BLOCK, Backoff, Connection, Endpoint, RedisResult, Shared, cmd, is_passing, pipe};
use crate::envelope::{InboxReply, Reply};
use crate::keys::Keys;
use crate::repair;

/// How many replies are fetched at once: enough to empty the inbox of a busy client in a few round trips.
const AT_ONCE: usize = 128;

/// Reads the inbox for ever.
pub(super) async fn read(endpoint: Endpoint, keys: Keys, client: String, pending: Arc<Pending>) {
    let mut inbox = Inbox {
        key: keys.inbox(&client),
        keys,
        client,
        pending,
        takes_many: true,
    };
    let mut backoff = Backoff::default();
    loop {
        if let Ok(mut connection) = endpoint.dedicated().await {
            while inbox.wait(&mut connection).await.is_ok() {
                backoff = Backoff::default();
            }
            inbox.pending.losses.send_replace(());
        }
        // The shared connection fails at the same time and reports why.
        backoff.pause().await;
    }
}

struct Inbox {
    key: String,
    keys: Keys,
    client: String,
    pending: Arc<Pending>,
    /// Whether Redis knows the command that waits for many replies: it does from version 7 on.
    takes_many: bool,
}

impl Inbox {
    /// Waits for replies. This future is never dropped while Redis works on it, except with the client itself.
    async fn wait(&mut self, connection: &mut Connection) -> RedisResult<()> {
        let watched = self.pending.to_watch();
        let replies = watched
            .iter()
            .map(|number| self.keys.reply(call_id(&self.client, *number)));
        let lists: Vec<String> = std::iter::once(self.key.clone()).chain(replies).collect();
        let found = if self.takes_many {
            match wait_for_many(&lists, connection).await {
                Err(error) if !is_passing(&error) => {
                    self.takes_many = false;
                    return Ok(());
                }
                answered => answered?,
            }
        } else {
            wait_for_one(&lists, connection).await?
        };
        let Some((list, replies)) = found else {
            return Ok(());
        };
        if list != self.key {
            if let (Some(number), Some(reply)) = (number(&list), replies.first()) {
                self.pending.peers.saw_python();
                self.pending.complete(number, python_reply(reply));
            }
            return Ok(());
        }
        for reply in &replies {
            deliver(reply, &self.pending);
        }
        // Whoever has got a reply may have another call to make, which is more urgent than the next wait: first it is
        // made, then it is sent.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        // With a single call there was a single reply.
        while !self.takes_many && !self.pending.is_empty() {
            let more: Option<Vec<Vec<u8>>> = cmd("LPOP")
                .arg(&self.key)
                .arg(AT_ONCE)
                .query_async(connection)
                .await?;
            let more = more.unwrap_or_default();
            for reply in &more {
                deliver(reply, &self.pending);
            }
            if more.len() < AT_ONCE {
                break;
            }
        }
        Ok(())
    }
}

/// What comes first into one of the lists, and what else is in it.
async fn wait_for_many(
    lists: &[String],
    connection: &mut Connection,
) -> RedisResult<Option<(String, Vec<Vec<u8>>)>> {
    cmd("BLMPOP")
        .arg(BLOCK.as_secs())
        .arg(lists.len())
        .arg(lists)
        .arg("LEFT")
        .arg("COUNT")
        .arg(AT_ONCE)
        .query_async(connection)
        .await
}

/// What comes first into one of the lists.
async fn wait_for_one(
    lists: &[String],
    connection: &mut Connection,
) -> RedisResult<Option<(String, Vec<Vec<u8>>)>> {
    let found: Option<(String, Vec<u8>)> = cmd("BLPOP")
        .arg(lists)
        .arg(BLOCK.as_secs())
        .query_async(connection)
        .await?;
    Ok(found.map(|(list, reply)| (list, vec![reply])))
}

/// The id of a client's call.
pub(super) fn call_id(client: &str, number: u64) -> String {
    let mut id = String::with_capacity(client.len() + 21);
    write!(id, "{client}-{number}").expect("a text takes more text");
    id
}

/// The number of the call to which an id, or a key that ends with it, belongs.
fn number(id: &str) -> Option<u64> {
    id.rsplit_once('-')?.1.parse().ok()
}

fn deliver(reply: &[u8], pending: &Pending) {
    if reply.is_empty() {
        // Only to wake us.
        return;
    }
    let text = String::from_utf8_lossy(reply);
    let repaired: String;
    let parsed = match serde_json::from_str::<InboxReply<'_>>(&text) {
        Ok(reply) => Ok(reply),
        Err(_) => {
            repaired = repair::repaired(&text).unwrap_or_default();
            serde_json::from_str(&repaired)
        }
    };
    match parsed {
        Ok(reply) => {
            pending.peers.saw_rust();
            match reply.id.and_then(|id| number(id.get().trim_matches('"'))) {
                Some(number) => {
                    let (code, result) = (reply.code, reply.result.to_owned());
                    pending.complete(number, Outcome::Answered(Ok(Reply { code, result })));
                }
                None => tracing::debug!("a reply in the inbox is for no call"),
            }
        }
        // The error would quote the reply.
        Err(_) => tracing::debug!(bytes = reply.len(), "the inbox holds what is no reply"),
    }
}

fn python_reply(reply: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(reply);
    Outcome::Answered(repair::parse(&text).map_err(|source| undecodable(source, &text)))
}

/// Looks for Python's replies for ever.
pub(super) async fn look(shared: Shared, keys: Keys, client: String, pending: Arc<Pending>) {
    loop {
        match pending.next_look() {
            None => pending.earlier.notified().await,
            Some(at) if at > Instant::now() => tokio::select! {
                () = tokio::time::sleep_until(at.into()) => {}
                () = pending.earlier.notified() => {}
            },
            Some(_) => {}
        }
        let due = pending.due(Instant::now());
        if due.is_empty() {
            continue;
        }
        let mut commands = pipe();
        for number in &due {
            commands.lpop(keys.reply(call_id(&client, *number)), None);
        }
        // A reply that was popped into a broken connection is lost; its call times out, or is repeated.
        let Ok(replies) = shared.run::<Vec<Option<Vec<u8>>>>(&commands).await else {
            pending.losses.send_replace(());
            continue;
        };
        for (number, reply) in due.iter().zip(replies) {
            if let Some(reply) = reply {
                pending.peers.saw_python();
                pending.complete(*number, python_reply(&reply));
            }
        }
    }
}
