//! The limit: texts of the size of a request and a reply go through two lists to another process and back, so many at
//! once, with no call around them, in as few commands as Redis 7 has for it. One by one it is a ping-pong. The other limit
//! is that of taking nothing that a crash could lose: each request is moved into a list of its own, which is deleted
//! behind the reply, and the replies expire.

use std::time::Instant;

use redis::aio::MultiplexedConnection;
use redis::{cmd, pipe};

use crate::process::Process;
use crate::redis_server::{Redis, connection};
use crate::sample::{Sample, cpu, cpu_since};

const REQUEST: &str = r#"{"id":"0123456789ab-1234","name":"sum","args":[1234,1],"kwargs":{},"meta":{"v":1,"reply_to":"{asyncredisrpc:ours}:inbox:0123456789ab","deadline":1790000000000}}"#;
const REPLY: &str = r#"{"id":"0123456789ab-1234","error":0,"result":1235}"#;

/// How requests are taken.
#[derive(Clone, Copy)]
pub(crate) enum Taking {
    Popped,
    Moved,
}

pub(crate) async fn measure(redis: &Redis, taking: Taking, at_once: usize, calls: usize) -> Sample {
    let kind = match taking {
        Taking::Popped => "popped",
        Taking::Moved => "moved",
    };
    let echo = Process::start(&["--echo", &redis.port.to_string(), kind, &at_once.to_string()]);
    let (mut pushing, mut popping) = (redis.connection().await, redis.connection().await);
    // Then it is there.
    round(&mut pushing, &mut popping, 1).await;
    let rounds = calls.div_ceil(at_once);
    let pids = [std::process::id(), echo.id(), redis.pid()];
    let (before, commands) = (pids.map(cpu), redis.commands().await);
    let start = Instant::now();
    let mut latencies = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let sent = Instant::now();
        round(&mut pushing, &mut popping, at_once).await;
        latencies.push(sent.elapsed());
    }
    let wall = start.elapsed();
    latencies.sort_unstable();
    Sample {
        calls: rounds * at_once,
        wall,
        latencies,
        commands: redis.commands().await - commands,
        cpu: cpu_since(pids, before),
    }
}

/// So many requests there, and as many replies back.
async fn round(pushing: &mut MultiplexedConnection, popping: &mut MultiplexedConnection, at_once: usize) {
    push(pushing, "bare:requests", REQUEST, at_once).await;
    let mut left = at_once;
    while left > 0 {
        left -= pop(popping, "bare:replies", left).await;
    }
}

/// What the other process does, until it is killed.
pub(crate) async fn echo(port: &str, kind: &str, at_once: &str) {
    let connection = connection(port.parse().unwrap()).await;
    let at_once = at_once.parse().unwrap();
    match kind {
        "popped" => echo_at_risk(connection, at_once).await,
        "moved" => echo_safely(connection, at_once).await,
        _ => panic!("there is no taking called {kind}"),
    }
}

async fn echo_at_risk(mut connection: MultiplexedConnection, at_once: usize) {
    loop {
        let count = pop(&mut connection, "bare:requests", at_once).await;
        push(&mut connection, "bare:replies", REPLY, count).await;
    }
}

async fn echo_safely(mut connection: MultiplexedConnection, at_once: usize) {
    let slots: Vec<String> = (0..at_once).map(|slot| format!("bare:slot:{slot}")).collect();
    loop {
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
