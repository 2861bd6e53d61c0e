//! The right to serve alone: who has it, who stands by, and when it changes hands.

use rpc::Lease;
use tokio::sync::oneshot;

use crate::calls::QUEUE;
use crate::redis_server::{PATIENCE, Redis, until};

const KEY: &str = "{asyncredisrpc:math}:lease";

fn lease(redis: &Redis, name: &str) -> Lease {
    Lease::new(
        QUEUE,
        redis.url().parse().unwrap(),
        name,
        &format!("server {name}"),
    )
    .unwrap()
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap()
}

async fn holder(redis: &Redis) -> Option<String> {
    redis.command(&format!("GET {KEY}")).await
}

#[tokio::test]
async fn a_second_one_stands_by_until_the_first_gives_it_back() {
    let redis = Redis::start().await;
    let (one, two) = (lease(&redis, "one"), lease(&redis, "two"));
    in_time(one.acquire(|_| panic!("nobody had it"))).await.unwrap();
    let mut seen = Vec::new();
    let renewed = async {
        for _ in 0..3 {
            redis.command::<()>(&format!("PEXPIRE {KEY} 4000")).await;
            until(async || redis.command::<i64>(&format!("PTTL {KEY}")).await > 4_000).await;
        }
    };
    tokio::select! {
        _ = two.acquire(|holder| seen.push(holder.to_owned())) => panic!("the first has it"),
        other = one.lost() => panic!("{other} has it"),
        () = renewed => {}
    }
    assert_eq!(seen, ["server one"]);
    one.give_back().await.unwrap();
    in_time(two.acquire(|_| {})).await.unwrap();
    // What is not ours is not given back.
    one.give_back().await.unwrap();
    assert_eq!(holder(&redis).await.unwrap(), "two server two");
}

#[tokio::test]
async fn one_that_was_killed_takes_it_again_at_once_and_another_when_it_has_ended() {
    let redis = Redis::start().await;
    in_time(lease(&redis, "one").acquire(|_| {})).await.unwrap();
    in_time(lease(&redis, "one").acquire(|_| panic!("it is the same one")))
        .await
        .unwrap();
    // A name that begins alike is another.
    let mut seen = 0;
    in_time(lease(&redis, "on").acquire(|_| seen += 1)).await.unwrap();
    assert_eq!(
        (seen, holder(&redis).await.unwrap().as_str()),
        (1, "on server on")
    );
}

#[tokio::test]
async fn a_redis_that_forgot_everything_does_not_make_it_change_hands() {
    let redis = Redis::start().await;
    let (one, two) = (lease(&redis, "one"), lease(&redis, "two"));
    in_time(one.acquire(|_| {})).await.unwrap();
    let renewing = tokio::spawn(async move { one.lost().await });
    let (see, seen) = oneshot::channel();
    let mut see = Some(see);
    let waiting = tokio::spawn(async move {
        two.acquire(move |_| see.take().into_iter().for_each(|see| see.send(()).unwrap()))
            .await
    });
    // Who never saw another holder takes what is free at once.
    in_time(seen).await.unwrap();
    // Once: deleted again before the second has looked, it would have been free for as long as that one could see.
    redis.command::<()>(&format!("DEL {KEY}")).await;
    until(async || holder(&redis).await.is_some()).await;
    assert_eq!(holder(&redis).await.unwrap(), "one server one");
    waiting.abort();
    // Somebody else takes it all the same.
    redis.command::<()>(&format!("SET {KEY} three:somebody")).await;
    assert_eq!(in_time(renewing).await.unwrap(), "three:somebody");
}
