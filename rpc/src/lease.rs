//! The right to serve a queue alone, for services of which a second one at the same time would be one too many: it
//! stands by, and takes over when the first is gone.
//!
//! A key with an expiry holds the name of the holder, who renews it. Who finds the key free at the first look takes it;
//! who found another holder before takes it only when it stays free for a while, so that a Redis that forgot everything does not
//! make the right change hands. A holder of the same name takes it at once: that is the same one, started again.
//!
//! It is a matter of order, not a lock: after Redis was away, two may hold it for as long as a renewal takes.

use std::fmt;
use std::time::Duration;

use crate::connection::{Backoff, Connection, Endpoint, REFUSALS, RedisResult, is_refusal, pipe};
use crate::keys::Keys;
use crate::{Address, Error};

/// How long the right outlives its holder.
const TERM: Duration = Duration::from_secs(10);
/// How often it is renewed, and how often who stands by looks; three renewals may fail.
const RENEWAL: Duration = Duration::from_millis(2_500);

/// Takes or renews the right and answers with nothing, or answers with who has it. A name ends at the first space.
const TAKE: &str = "
local held = redis.call('GET', KEYS[1])
if held and string.sub(held, 1, #ARGV[1] + 1) ~= ARGV[1] .. ' ' then return held end
if held or ARGV[4] == '1' then redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[3]) end
return false";
const GIVE_BACK: &str = "
local held = redis.call('GET', KEYS[1])
if held and string.sub(held, 1, #ARGV[1] + 1) == ARGV[1] .. ' ' then redis.call('DEL', KEYS[1]) end";

/// The right to serve a queue alone.
///
/// ```no_run
/// # async fn example() -> Result<(), rpc::Error> {
/// let lease = rpc::Lease::new("logs", "redis://127.0.0.1:6379".parse()?, "9f3c", "host-7")?;
/// lease.acquire(|holder| println!("{holder} serves; standing by")).await?;
/// println!("we serve");
/// let holder = lease.lost().await;
/// println!("now {holder} serves");
/// # Ok(())
/// # }
/// ```
pub struct Lease {
    key: String,
    endpoint: Endpoint,
    name: String,
    shown: String,
}

impl Lease {
    /// The right to serve `queue` at this Redis. `name` is the same for a service that is started again and differs
    /// between services that must not run at once; it has no spaces. `shown` tells the others who it is.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a queue name that cannot work.
    pub fn new(queue: &str, address: Address, name: &str, shown: &str) -> Result<Lease, Error> {
        let keys = Keys::new(queue)?.at(&address);
        Ok(Lease {
            key: keys.lease(),
            endpoint: Endpoint::new(address, keys.queue()),
            name: name.replace(' ', "_"),
            shown: shown.to_owned(),
        })
    }

    /// Waits until the right is ours; `other` is told who has it, whenever that is somebody else than before. Redis
    /// being away is waited out.
    ///
    /// # Errors
    ///
    /// [`Error::Transport`] when Redis refuses us for good: a wrong password, a missing permission or database.
    pub async fn acquire(&self, mut other: impl FnMut(&str)) -> Result<(), Error> {
        let mut backoff = Backoff::default();
        let mut holder: Option<String> = None;
        let (mut free, mut refusals) = (0, 0);
        loop {
            let outcome = self
                .acquire_on_one_connection(&mut holder, &mut free, &mut other)
                .await;
            let Err(source) = outcome else { return Ok(()) };
            tracing::debug!(error = %source, "the lease could not be looked at");
            refusals = if is_refusal(&source) { refusals + 1 } else { 0 };
            if refusals >= REFUSALS {
                return Err(Error::Transport {
                    source,
                    maybe_sent: false,
                });
            }
            backoff.pause().await;
        }
    }

    async fn acquire_on_one_connection(
        &self,
        holder: &mut Option<String>,
        free: &mut u32,
        other: &mut impl FnMut(&str),
    ) -> RedisResult<()> {
        let mut connection = self.endpoint.dedicated().await?;
        loop {
            // Nobody ever had it, or it stayed free for longer than a renewal takes.
            let take = holder.is_none() || *free > 1;
            match self.look(&mut connection, take).await? {
                None if take => return Ok(()),
                None => *free += 1,
                Some(found) => {
                    *free = 0;
                    if holder.as_ref() != Some(&found) {
                        other(&found);
                        *holder = Some(found);
                    }
                }
            }
            tokio::time::sleep(RENEWAL).await;
        }
    }

    /// Renews the right until somebody else has it, and says who.
    pub async fn lost(&self) -> String {
        let mut backoff = Backoff::default();
        loop {
            match self.lost_on_one_connection(&mut backoff).await {
                Ok(holder) => return holder,
                Err(error) => tracing::debug!(%error, "the lease could not be renewed"),
            }
            backoff.pause().await;
        }
    }

    async fn lost_on_one_connection(&self, backoff: &mut Backoff) -> RedisResult<String> {
        let mut connection = self.endpoint.dedicated().await?;
        loop {
            if let Some(holder) = self.look(&mut connection, true).await? {
                return Ok(holder);
            }
            *backoff = Backoff::default();
            tokio::time::sleep(RENEWAL).await;
        }
    }

    /// Lets the next one have it, if it is ours.
    ///
    /// # Errors
    ///
    /// [`Error::Transport`]; it then ends by itself, within 10 seconds.
    pub async fn give_back(&self) -> Result<(), Error> {
        let given = async {
            let mut connection = self.endpoint.dedicated().await?;
            let mut commands = pipe();
            commands
                .cmd("EVAL")
                .arg(GIVE_BACK)
                .arg(1)
                .arg(&self.key)
                .arg(&self.name);
            commands.query_async::<()>(&mut connection).await
        };
        given.await.map_err(|source| Error::Transport {
            source,
            maybe_sent: true,
        })
    }

    /// Takes or renews the right, a free one only if `take`; answers with who else has it.
    async fn look(&self, connection: &mut Connection, take: bool) -> RedisResult<Option<String>> {
        let mut commands = pipe();
        commands
            .cmd("EVAL")
            .arg(TAKE)
            .arg(1)
            .arg(&self.key)
            .arg(&self.name)
            .arg(&self.shown)
            .arg(TERM.as_millis() as u64)
            .arg(u8::from(take));
        let (held,): (Option<Vec<u8>>,) = commands.query_async(connection).await?;
        Ok(held.map(|held| {
            let held = String::from_utf8_lossy(&held);
            held.split_once(' ').map_or(&*held, |(_, shown)| shown).to_owned()
        }))
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("key", &self.key)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
