//! Looks at one queue from outside, and tidies it: what waits, who serves, what was given up, what was left behind.
//! For people and their tools. It has one connection and gives up when that breaks: whoever looks can look again.
//! It moves requests, and never loses one. Reading order: this file, `dead_letters`, `sweep`.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use redis::FromRedisValue;
use serde_json::Value;

use crate::connection::{Connection, Endpoint, Pipeline, RedisError, cmd, pipe};
use crate::envelope::Answerable;
use crate::keys::Keys;
use crate::{Address, Error};

mod dead_letters;
mod sweep;

pub use dead_letters::{DeadLetter, Retried};
pub use sweep::{Sweep, Swept};

/// A server registers as many slots as it has handlers, and some more. Beyond this the registration is nonsense.
const SLOTS: u64 = 100_000;

/// So many keys are named in one command.
const CHUNK: usize = 1000;

/// Looks at one queue from outside, and tidies it.
///
/// ```no_run
/// # async fn example() -> Result<(), rpc::Error> {
/// let inspector = rpc::Inspector::connect("math", "redis://127.0.0.1:6379".parse()?).await?;
/// let overview = inspector.overview().await?;
/// println!("{} requests wait, {} are being handled", overview.waiting, overview.taken());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Inspector {
    keys: Keys,
    connection: Connection,
}

/// What Redis knows of a queue and its servers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Overview {
    /// How many requests wait to be taken.
    pub waiting: u64,
    /// How long the first of them has waited, by the clock of Redis, if it tells when it was sent. Requests of
    /// Python's clients do not.
    pub oldest: Option<Duration>,
    /// The servers of this crate by their ids. Python's servers do not show themselves.
    pub servers: Vec<ServerState>,
    /// How many dead letters there are.
    pub dead_letters: u64,
}

/// What Redis knows of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerState {
    /// Its id, fresh at every start.
    pub id: String,
    /// Whether it has shown itself within the last 20 seconds. What a dead one had taken goes back to the queue as soon
    /// as another one looks.
    pub alive: bool,
    /// The version of this crate that it runs, while it is alive.
    pub version: Option<String>,
    /// How many requests it has taken and not yet answered.
    pub taken: u64,
}

impl Overview {
    /// How many requests are taken and not yet answered, as far as servers of this crate have them.
    pub fn taken(&self) -> u64 {
        self.servers.iter().map(|server| server.taken).sum()
    }
}

impl Inspector {
    /// Connects, once.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a queue name that cannot work, [`Error::Transport`] when Redis cannot be reached, or does not
    /// let us in.
    pub async fn connect(queue: &str, address: Address) -> Result<Self, Error> {
        let keys = Keys::new(queue)?.at(&address);
        let endpoint = Endpoint::new(address, keys.queue());
        let connected = async {
            let mut connection = endpoint.dedicated().await?;
            // Without a password it is let in as far as this.
            cmd("PING").query_async::<()>(&mut connection).await?;
            Ok::<_, RedisError>(connection)
        };
        let connection = connected.await.map_err(|source| Error::Transport {
            source,
            maybe_sent: false,
        })?;
        Ok(Self { keys, connection })
    }

    /// How the queue stands.
    ///
    /// # Errors
    ///
    /// [`Error::Transport`].
    pub async fn overview(&self) -> Result<Overview, Error> {
        let mut commands = pipe();
        commands
            .llen(self.keys.queue())
            .lindex(self.keys.queue(), 0)
            .cmd("TIME")
            .llen(self.keys.dead());
        let (waiting, first, (seconds, microseconds), dead_letters): (u64, Option<Vec<u8>>, (i64, i64), u64) =
            self.run(&commands).await?;
        let now = seconds * 1000 + microseconds / 1000;
        let sent = first.and_then(|first| serde_json::from_slice::<Answerable<'_>>(&first).ok()?.meta().sent);
        let oldest = sent
            .and_then(|sent| u64::try_from(now - sent).ok())
            .map(Duration::from_millis);
        let mut servers = Vec::new();
        for (id, registration) in self.registrations().await? {
            servers.push(self.server(id, &registration).await?);
        }
        servers.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Ok(Overview {
            waiting,
            oldest,
            servers,
            dead_letters,
        })
    }

    async fn registrations(&self) -> Result<HashMap<String, String>, Error> {
        let (registrations,) = self.run(pipe().hgetall(self.keys.workers())).await?;
        Ok(registrations)
    }

    async fn server(&self, id: String, registration: &str) -> Result<ServerState, Error> {
        let mut commands = pipe();
        commands.get(self.keys.heartbeat(&id));
        for slots in self.slots(&id, registration).chunks(CHUNK) {
            commands.exists(slots);
        }
        let mut answers: Vec<redis::Value> = self.run(&commands).await?;
        let read = |value| redis::from_redis_value::<u64>(value).unwrap_or_default();
        let taken = answers.drain(1..).map(read).sum();
        let heartbeat = answers
            .pop()
            .and_then(|heartbeat| redis::from_redis_value::<String>(heartbeat).ok());
        let told: Option<Value> = heartbeat
            .as_ref()
            .and_then(|heartbeat| serde_json::from_str(heartbeat).ok());
        Ok(ServerState {
            id,
            alive: heartbeat.is_some(),
            version: told.and_then(|told| Some(told["version"].as_str()?.to_owned())),
            taken,
        })
    }

    /// The keys of the slots that a server registered.
    fn slots(&self, id: &str, registration: &str) -> Vec<String> {
        let told: Value = serde_json::from_str(registration).unwrap_or_default();
        let slots = told["slots"].as_u64().unwrap_or_default().min(SLOTS);
        (0..slots).map(|slot| self.keys.slot(id, slot)).collect()
    }

    async fn run<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, Error> {
        let outcome = commands.query_async(&mut self.connection.clone()).await;
        outcome.map_err(|source| Error::Transport {
            source,
            maybe_sent: true,
        })
    }
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspector")
            .field("queue", &self.keys.queue())
            .finish_non_exhaustive()
    }
}
