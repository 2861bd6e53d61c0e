//! What becomes of the requests in a dead worker's slots: back to the head of the queue, and after the third death
//! to the dead-letter list, with code 11 to the caller.
//!
//! Counted are the workers that died while they had a request, by the request's whole text, so that nothing has to be
//! parsed; a text that one worker had several times counts once. A handler that fails is not counted. A request that
//! only ran beside the one that kills is counted like it, which is why nothing of a request given up is thrown away.
//!
//! Promises: at every moment a request is in a slot, in the queue or in the dead-letter list; a reaper that dies
//! half-way leaves work that another can do again. Where Redis allows no scripts, nothing is counted and every
//! request goes back to the queue.

use super::dead_letter;
use super::finish::commands as commands_of;
use super::service::Service;
use super::worker::Worker;
use crate::Error;
use crate::connection::{is_passing, pipe};

/// With this many deaths a request is given up: one may be chance, and two the same outage.
const DEATHS: u32 = 3;

/// How long the deaths are remembered after the last one, in seconds: longer than a crash loop that people notice.
const MEMORY_SECONDS: u32 = 24 * 60 * 60;

/// How long a worker can find out that its requests were taken away, in seconds. Later it finds itself removed.
const LOST_SECONDS: u32 = 60 * 60;

/// `KEYS`: the worker's heartbeat, the queue, the deaths, the sign that it was robbed, slots. `ARGV`: the heartbeat as
/// it was when the worker was found dead, its id, how many deaths are too many, how long to remember them, how long to
/// leave the sign.
///
/// Returns how many requests went to the queue, and which of the slots hold one to give up. It stays there until
/// [`GIVE_UP`], so looking twice changes nothing. A worker that showed itself again keeps everything.
const GIVE_BACK: &str = r"
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return {0, {}} end
local moved, hopeless = 0, {}
for slot = 5, #KEYS do
  local request = redis.call('LINDEX', KEYS[slot], -1)
  if request then
    redis.call('SET', KEYS[4], '', 'EX', ARGV[5])
    local digest = redis.sha1hex(request)
    local workers = redis.call('HGET', KEYS[3], digest) or ' '
    if not string.find(workers, ' ' .. ARGV[2] .. ' ', 1, true) then
      workers = workers .. ARGV[2] .. ' '
      redis.call('HSET', KEYS[3], digest, workers)
      redis.call('EXPIRE', KEYS[3], ARGV[4])
    end
    local _, deaths = string.gsub(workers, '%S+', '')
    if deaths >= tonumber(ARGV[3]) then
      hopeless[#hopeless + 1] = slot - 5
    else
      redis.call('LMOVE', KEYS[slot], KEYS[2], 'RIGHT', 'LEFT')
      moved = moved + 1
    end
  end
end
return {moved, hopeless}";

/// `KEYS`: a slot. `ARGV`: how many bytes.
///
/// Returns how many bytes the request has, and as many of them at most. What killed three servers by its size alone shall
/// not kill whoever buries it.
const LOOK: &str = r"
local request = redis.call('LINDEX', KEYS[1], -1)
return request and {#request, string.sub(request, 1, ARGV[1])}";

/// `KEYS`: a slot, the dead letters, the deaths. `ARGV`: the letter, how many letters to keep.
///
/// Returns how many requests went to the dead letters; none if another reaper was quicker.
const GIVE_UP: &str = r"
local request = redis.call('LINDEX', KEYS[1], -1)
if not request then return 0 end
redis.call('RPUSH', KEYS[2], ARGV[1])
redis.call('LTRIM', KEYS[2], -tonumber(ARGV[2]), -1)
redis.call('HDEL', KEYS[3], redis.sha1hex(request))
redis.call('RPOP', KEYS[1])
return 1";

/// A worker that is taken for dead.
pub(super) struct DeadWorker<'a> {
    pub(super) id: &'a str,
    /// Its heartbeat as last seen, empty if there was none.
    pub(super) heartbeat: &'a str,
}

/// How many requests were in a dead worker's slots.
#[derive(Default)]
pub(super) struct Recovered {
    pub(super) requeued: u64,
    pub(super) given_up: u64,
}

/// Empties these slots.
pub(super) async fn recover(
    service: &Service,
    worker: &Worker,
    dead: &DeadWorker<'_>,
    slots: &[u64],
) -> Result<Recovered, Error> {
    let (requeued, hopeless) = match give_back(worker, dead, slots).await {
        Ok(outcome) => outcome,
        Err(Error::Transport { source, .. }) if !is_passing(&source) => {
            let requeued = worker.give_back(dead.id, slots).await?;
            if requeued > 0 {
                let mut sign = pipe();
                sign.set_ex(worker.keys.lost(dead.id), "", LOST_SECONDS.into())
                    .ignore();
                worker.shared.run::<()>(&sign).await?;
                tracing::warn!(error = %source, "Redis runs no scripts; requests that kill are not recognised");
            }
            (requeued, Vec::new())
        }
        Err(error) => return Err(error),
    };
    let mut given_up = 0;
    for at in hopeless {
        given_up += give_up(service, worker, dead, slots[at]).await?;
    }
    Ok(Recovered { requeued, given_up })
}

async fn give_back(
    worker: &Worker,
    dead: &DeadWorker<'_>,
    slots: &[u64],
) -> Result<(u64, Vec<usize>), Error> {
    let keys = &worker.keys;
    let mut commands = pipe();
    commands
        .cmd("EVAL")
        .arg(GIVE_BACK)
        .arg(4 + slots.len())
        .arg(keys.heartbeat(dead.id))
        .arg(keys.queue())
        .arg(keys.deaths())
        .arg(keys.lost(dead.id));
    for slot in slots {
        commands.arg(keys.slot(dead.id, *slot));
    }
    commands
        .arg(dead.heartbeat)
        .arg(dead.id)
        .arg(DEATHS)
        .arg(MEMORY_SECONDS)
        .arg(LOST_SECONDS);
    let (outcome,) = worker.shared.run(&commands).await?;
    Ok(outcome)
}

/// Tells the caller, then moves the request; whoever finds it half done does it again.
async fn give_up(service: &Service, worker: &Worker, dead: &DeadWorker<'_>, slot: u64) -> Result<u64, Error> {
    let (keys, shared) = (&worker.keys, &worker.shared);
    let slot = keys.slot(dead.id, slot);
    let mut commands = pipe();
    commands
        .cmd("EVAL")
        .arg(LOOK)
        .arg(1)
        .arg(&slot)
        .arg(service.max_request);
    let (found,): (Option<(usize, Vec<u8>)>,) = shared.run(&commands).await?;
    let Some((size, request)) = found else {
        return Ok(0);
    };
    let mut reason = format!(
        "{DEATHS} servers died while they had this request, the last was {}",
        dead.id
    );
    if size > request.len() {
        reason += &format!("; it had {size} bytes");
    }
    if let Some(farewell) = service.given_up(&request, &reason)
        && let Err(error) = shared
            .run::<()>(&commands_of(farewell, keys, service.inboxes.reply_ttl))
            .await
    {
        match error {
            // The reply's key is of another type, say; that must not keep the request alive.
            Error::Transport { source, .. } if !is_passing(&source) => {
                tracing::warn!(error = %source, "Redis refused a reply");
            }
            error => return Err(error),
        }
    }
    let mut commands = pipe();
    commands
        .cmd("EVAL")
        .arg(GIVE_UP)
        .arg(3)
        .arg(slot)
        .arg(keys.dead())
        .arg(keys.deaths())
        .arg(dead_letter::text(&reason, shared.redis_now_ms(), &request))
        .arg(dead_letter::KEPT);
    let (given_up,) = shared.run(&commands).await?;
    Ok(given_up)
}
