//! The limit: texts of the size of a request and a reply go through two lists and back, so many at once, with no call
//! around them, in as few commands as Redis 7 has for it. One by one it is a ping-pong. The other limit is that of
//! taking nothing that a crash could lose: each request is moved into a list of its own, which is deleted behind the
//! reply, and the replies expire.

use std::time::Instant;

use redis::aio::MultiplexedConnection;
use redis::{cmd, pipe};

use crate::redis_server::Redis;
use crate::sample::{Sample, cpu};

const REQUEST: &str = r#"{"id":"0123456789ab-1234","name":"sum","args":[1234,1],"kwargs":{},"meta":{"v":1,"reply_to":"{asyncredisrpc:ours}:inbox:0123456789ab","deadline":1790000000000}}"#;
const REPLY: &str = r#"{"id":"0123456789ab-1234","error":0,"result":1235}"#;

/// How requests are taken.
#[derive(Clone, Copy)]
pub(crate) enum Taking {
    Popped,
    Moved,
}

pub(crate) async fn measure(redis: &Redis, taking: Taking, at_once: usize, calls: usize) -> Sample {
    let rounds = calls.div_ceil(at_once);
    let (connection, left) = (redis.connection().await, rounds * at_once);
    let echo = match taking {
        Taking::Popped => tokio::spawn(echo(connection, left)),
        Taking::Moved => tokio::spawn(echo_safely(connection, at_once, left)),
    };
    let (mut pushing, mut popping) = (redis.connection().await, redis.connection().await);
    let (before, commands) = (
        [cpu(std::process::id()), cpu(redis.pid())],
        redis.commands().await,
    );
    let start = Instant::now();
    let mut latencies = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let sent = Instant::now();
        push(&mut pushing, "bare:requests", REQUEST, at_once).await;
        let mut left = at_once;
        while left > 0 {
            left -= pop(&mut popping, "bare:replies", left).await;
        }
        latencies.push(sent.elapsed());
    }
    let wall = start.elapsed();
    echo.await.unwrap();
    latencies.sort_unstable();
    let used = |at: usize, pid| Some(cpu(pid)?.saturating_sub(before[at]?));
    let both = used(0, std::process::id()).zip(used(1, redis.pid()));
    Sample {
        calls: rounds * at_once,
        wall,
        latencies,
        commands: redis.commands().await - commands,
        // Both sides are this process.
        cpu: both.map(|(own, redis)| [own / 2, own / 2, redis]),
    }
}

async fn echo(mut connection: MultiplexedConnection, mut left: usize) {
    while left > 0 {
        let count = pop(&mut connection, "bare:requests", left).await;
        push(&mut connection, "bare:replies", REPLY, count).await;
        left -= count;
    }
}

async fn echo_safely(mut connection: MultiplexedConnection, at_once: usize, mut left: usize) {
    let slots: Vec<String> = (0..at_once).map(|slot| format!("bare:slot:{slot}")).collect();
    while left > 0 {
        let mut take = pipe();
        for (at, slot) in slots.iter().enumerate() {
            take.cmd(if at == 0 { "BLMOVE" } else { "LMOVE" })
                .arg("bare:requests")
                .arg(slot)
                .arg("LEFT")
                .arg("RIGHT");
            if at == 0 {
                take.arg(0);
            }
        }
        let taken: Vec<Option<String>> = take.query_async(&mut connection).await.unwrap();
        let count = taken.into_iter().flatten().count();
        let mut finish = pipe();
        finish
            .rpush("bare:replies", vec![REPLY; count])
            .ignore()
            .pexpire("bare:replies", 300_000)
            .ignore()
            .del(&slots[..count])
            .ignore();
        finish.query_async::<()>(&mut connection).await.unwrap();
        left -= count;
    }
}

async fn push(connection: &mut MultiplexedConnection, list: &str, text: &str, count: usize) {
    let texts = vec![text; count];
    let command = cmd("RPUSH").arg(list).arg(texts).to_owned();
    command.query_async::<()>(connection).await.unwrap();
}

/// Waits for one and takes what else is there, with one command; returns how many.
async fn pop(connection: &mut MultiplexedConnection, list: &str, most: usize) -> usize {
    let (_, popped): (String, Vec<String>) = cmd("BLMPOP")
        .arg(0)
        .arg(1)
        .arg(list)
        .arg("LEFT")
        .arg("COUNT")
        .arg(most)
        .query_async(connection)
        .await
        .unwrap();
    popped.len()
}
