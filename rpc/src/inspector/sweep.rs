//! Removes what others left behind: replies of Python's servers that nobody fetched, which never expire, and what
//! dead servers had taken while no other server of this crate is there to find it.

use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{CHUNK, Inspector};
use crate::Error;
use crate::connection::{cmd, pipe};

/// As long as a heartbeat lasts. A Redis that has not been up for so long may have lost those of servers that live.
const SETTLED: Duration = Duration::from_secs(20);

/// How long a server may have slept and still learn that its requests were taken away from it.
const LOST_SECONDS: u64 = 60 * 60;

/// What to sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sweep {
    /// How long nobody must have touched a reply. One that is waited for is fetched within seconds.
    pub idle: Duration,
    /// Only look and count.
    pub dry: bool,
}

/// What was swept away, or would have been.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// Lists with replies that nobody fetched.
    pub replies: u64,
    /// Requests of dead servers that went back to the head of the queue.
    pub requests: u64,
    /// Dead servers that are forgotten.
    pub servers: u64,
}

/// An element of a list, if it is a reply and no request of a queue whose name begins like ours.
#[derive(Deserialize)]
struct Reply {
    #[serde(rename = "error")]
    _error: i64,
    #[serde(rename = "result")]
    _result: IgnoredAny,
    name: Option<IgnoredAny>,
}

impl Inspector {
    /// Sweeps, and tells `seen` from time to time how many keys have been looked at. It looks at all keys of the
    /// database, in small steps that hold nobody up.
    ///
    /// # Errors
    ///
    /// [`Error::Transport`]; what was swept until then stays swept.
    pub async fn sweep(&self, sweep: Sweep, mut seen: impl FnMut(u64)) -> Result<Swept, Error> {
        let mut swept = self.sweep_servers(sweep.dry).await?;
        let (mut cursor, mut keys_seen) = (0, 0);
        loop {
            let mut commands = pipe();
            commands
                .cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(self.keys.reply_pattern())
                .arg("COUNT")
                .arg(CHUNK)
                .arg("TYPE")
                .arg("list");
            let ((next, keys),): ((u64, Vec<Vec<u8>>),) = self.run(&commands).await?;
            for key in self.abandoned(keys, sweep.idle).await? {
                swept.replies += 1;
                if !sweep.dry {
                    self.run::<()>(pipe().unlink(key).ignore()).await?;
                }
            }
            keys_seen += CHUNK as u64;
            seen(keys_seen);
            if next == 0 {
                return Ok(swept);
            }
            cursor = next;
        }
    }

    /// Those of the lists that are replies which nobody will fetch.
    async fn abandoned(&self, keys: Vec<Vec<u8>>, idle: Duration) -> Result<Vec<Vec<u8>>, Error> {
        if keys.is_empty() {
            return Ok(keys);
        }
        let mut commands = pipe();
        for key in &keys {
            commands.pttl(key).cmd("OBJECT").arg("IDLETIME").arg(key);
        }
        let answers: Vec<Option<i64>> = self.run(&commands).await?;
        let mut abandoned = Vec::new();
        for (key, answers) in keys.into_iter().zip(answers.chunks(2)) {
            let [Some(-1), Some(seconds)] = *answers else {
                continue;
            };
            if u64::try_from(seconds).is_ok_and(|seconds| Duration::from_secs(seconds) >= idle)
                && self.is_reply(&key).await?
            {
                abandoned.push(key);
            }
        }
        Ok(abandoned)
    }

    async fn is_reply(&self, key: &[u8]) -> Result<bool, Error> {
        let (first,): (Option<Vec<u8>>,) = self.run(pipe().lindex(key, 0)).await?;
        // Python may write NaN, which only a repaired text shows to be a reply.
        let text = first
            .map(|first| String::from_utf8_lossy(&first).into_owned())
            .unwrap_or_default();
        Ok(crate::repair::parse::<Reply>(&text).is_ok_and(|reply| reply.name.is_none()))
    }

    async fn sweep_servers(&self, dry: bool) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        let (info,): (String,) = self
            .run(pipe().add_command(cmd("INFO").arg("server").clone()))
            .await?;
        let up = info
            .lines()
            .find_map(|line| line.strip_prefix("uptime_in_seconds:")?.trim().parse().ok());
        if Duration::from_secs(up.unwrap_or_default()) < SETTLED {
            return Ok(swept);
        }
        for (id, registration) in self.registrations().await? {
            let server = self.server(id, &registration).await?;
            if server.alive {
                continue;
            }
            swept.servers += 1;
            swept.requests += server.taken;
            if !dry {
                // In case it only sleeps: when it wakes up it must not answer what is somebody else's then.
                let mut sign = pipe();
                sign.set_ex(self.keys.lost(&server.id), "", LOST_SECONDS).ignore();
                self.run::<()>(&sign).await?;
                for slot in self.slots(&server.id, &registration) {
                    self.give_back(&slot).await?;
                }
                self.run::<()>(pipe().hdel(self.keys.workers(), server.id).ignore())
                    .await?;
            }
        }
        Ok(swept)
    }

    async fn give_back(&self, slot: &str) -> Result<(), Error> {
        let mut commands = pipe();
        commands
            .cmd("LMOVE")
            .arg(slot)
            .arg(self.keys.queue())
            .arg("RIGHT")
            .arg("LEFT");
        while let (Some(_),) = self.run::<(Option<Vec<u8>>,)>(&commands).await? {}
        Ok(())
    }
}
