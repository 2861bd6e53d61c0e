//! Servers killed again and again under load. `RPC_TEST_KILLS` says how often, by default a few times.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use rpc::{Client, Error, Server, code};
use tokio_util::sync::CancellationToken;

use crate::redis_server::{Redis, until};
use crate::victim::Victim;

const QUEUE: &str = "work";

const SERVERS: usize = 3;
const CALLERS: u32 = 16;

fn victim(redis: &Redis) -> Victim {
    let test = "storms::whatever_is_killed_every_idempotent_call_is_answered";
    Victim::start(test, &redis.url())
}

#[tokio::test]
async fn whatever_is_killed_every_idempotent_call_is_answered() {
    if let Some(url) = Victim::url() {
        let work = |(number,): (u32,)| async move {
            tokio::time::sleep(Duration::from_millis(5)).await; // slow: some work is going on at any moment
            number
        };
        let victim = Server::builder(QUEUE)
            .redis(url)
            .method("work", work)
            .concurrency(4)
            .build()
            .unwrap();
        panic!("{:?}", victim.run(CancellationToken::new()).await);
    }
    let kills = std::env::var("RPC_TEST_KILLS").map_or(10, |kills| kills.parse().unwrap());
    let redis = Redis::start_with(&["--appendfsync", "no"]).await;
    let client = Client::builder(QUEUE)
        .redis(redis.url())
        .timeout(Duration::from_secs(300))
        .build()
        .unwrap();
    let (enough, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (client, enough, answered) = (client.clone(), Arc::clone(&enough), Arc::clone(&answered));
            tokio::spawn(async move {
                let mut given_up = 0;
                for number in (caller..).step_by(CALLERS as usize) {
                    let call = client.request("work").params((number,)).idempotent();
                    match call.send::<u32>().await {
                        Ok(answer) => assert_eq!(answer, number),
                        Err(Error::Remote(fault)) if fault.code == code::DEAD_LETTERED => given_up += 1,
                        Err(error) => panic!("{number}: {error:?}"),
                    }
                    answered.fetch_add(1, SeqCst);
                    if enough.load(SeqCst) {
                        return given_up;
                    }
                }
                unreachable!("there are enough numbers")
            })
        })
        .collect();
    let mut victims: Vec<Victim> = (0..SERVERS).map(|_| victim(&redis)).collect();
    for _ in 0..kills {
        let before = answered.load(SeqCst);
        until(async || answered.load(SeqCst) > before + 20).await;
        let mut killed = std::mem::replace(&mut victims[fastrand::usize(..SERVERS)], victim(&redis));
        killed.kill();
    }
    enough.store(true, SeqCst);
    let mut given_up = 0;
    for caller in callers {
        given_up += caller.await.unwrap();
    }
    // What is left of the killed is cleared away, except what was declared lost.
    until(async || redis.command::<Vec<String>>("KEYS *:w:*").await.is_empty()).await;
    until(async || redis.command::<u64>("LLEN asyncredisrpc:work").await == 0).await;
    assert_eq!(
        redis.command::<u64>("LLEN {asyncredisrpc:work}:dead").await,
        given_up
    );
}
