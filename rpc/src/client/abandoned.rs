//! What becomes of calls that were sent and are not waited for any more: servers are told not to bother, and the
//! replies that Python servers make all the same are removed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::mpsc;

use super::inbox::call_id;
use crate::connection::{Pipeline, Shared, pipe};
use crate::keys::Keys;

/// So many calls are spoken of at once.
const AT_ONCE: usize = 256;

/// When a Python server's reply is removed: most have come by the first time, the others expire with nobody.
const REMOVED_AFTER: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(600)];

/// So many calls are remembered for it; the oldest are forgotten.
const REMEMBERED: usize = 10_000;

/// Calls whose replies are to be removed, and when.
type Remembered = VecDeque<(Instant, u64)>;

/// What servers are told.
#[derive(Serialize)]
struct Order<'a> {
    cancel: &'a [String],
}

/// The command that tells servers not to bother with these calls; Redis answers how many servers listen.
pub(super) fn cancel(keys: &Keys, ids: &[String]) -> Pipeline {
    let order = serde_json::to_string(&Order { cancel: ids }).expect("strings can be written as JSON");
    let mut commands = pipe();
    commands.publish(keys.control(), order);
    commands
}

/// Sees to abandoned calls for ever.
pub(super) async fn see_to(
    shared: Shared,
    keys: Keys,
    client: String,
    mut numbers: mpsc::UnboundedReceiver<u64>,
) {
    let mut remembered: [Remembered; 2] = Default::default();
    loop {
        let mut abandoned = Vec::new();
        let next = remembered.iter().filter_map(|calls| Some(calls.front()?.0)).min();
        let until_next = async {
            match next {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            count = numbers.recv_many(&mut abandoned, AT_ONCE) => if count == 0 { return },
            () = until_next => {}
        }
        let now = Instant::now();
        let ids = |numbers: &[u64]| {
            numbers
                .iter()
                .map(|number| call_id(&client, *number))
                .collect::<Vec<_>>()
        };
        if !abandoned.is_empty() {
            // Nobody relies on it: a call that is not cancelled ends at its deadline.
            let _ = shared.run::<()>(&cancel(&keys, &ids(&abandoned))).await;
        }
        for (calls, after) in remembered.iter_mut().zip(REMOVED_AFTER) {
            calls.extend(abandoned.iter().map(|number| (now + after, *number)));
            let surplus = calls.len().saturating_sub(REMEMBERED);
            calls.drain(..surplus);
            let due = calls
                .iter()
                .take(AT_ONCE)
                .take_while(|(at, _)| *at <= now)
                .count();
            let due: Vec<u64> = calls.drain(..due).map(|(_, number)| number).collect();
            if !due.is_empty() {
                let replies: Vec<String> = ids(&due).iter().map(|id| keys.reply(id)).collect();
                // A reply that is left behind costs memory in Redis and nothing else.
                let _ = shared.run::<()>(pipe().unlink(replies).ignore()).await;
            }
        }
    }
}
