//! Requests that were in the hands of one server after another that died.

use std::process::Stdio;

use rpc::{Client, Fault, Server, code};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::calls::start;
use crate::lost_workers::leave_heartbeat;
use crate::redis_server::{PATIENCE, Redis, until};

const QUEUE: &str = "work";
const OWN: &str = "{asyncredisrpc:work}";

/// Tells this test's own process that it is to be a server.
const VICTIM: &str = "RPC_TEST_DEADLY_VICTIM";

fn server(url: &str) -> rpc::ServerBuilder {
    Server::builder(QUEUE)
        .redis(url)
        .method("work", |(number,): (u32,)| async move { Ok::<_, Fault>(number) })
}

async fn dead_letters(redis: &Redis) -> Vec<Value> {
    let letters: Vec<String> = redis.command(&format!("LRANGE {OWN}:dead 0 -1")).await;
    letters
        .iter()
        .map(|letter| serde_json::from_str(letter).unwrap())
        .collect()
}

#[tokio::test]
async fn a_request_that_kills_three_servers_is_given_up() {
    if let Ok(url) = std::env::var(VICTIM) {
        let die = |_: (u32,)| -> std::future::Ready<Result<u32, Fault>> { std::process::exit(1) };
        let victim = server(&url).method("die", die).build().unwrap();
        panic!("{:?}", victim.run(CancellationToken::new()).await);
    }
    let redis = Redis::start().await;
    let client = Client::builder(QUEUE)
        .redis(redis.url())
        .timeout(PATIENCE)
        .build()
        .unwrap();
    let mut call = Box::pin(client.call_raw("die", (1,)));
    let mut deaths = 0;
    let (answer, _survivor) = loop {
        let mut victim = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "deadly_requests::a_request_that_kills_three_servers_is_given_up",
                "--exact",
            ])
            .env(VICTIM, redis.url())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        tokio::select! {
            answer = &mut call => break (answer.unwrap(), victim),
            _ = victim.wait() => deaths += 1,
        }
    };
    assert_eq!((deaths, answer.0), (3, code::DEAD_LETTERED), "{}", answer.1);
    // The caller is told before the request is moved.
    until(async || dead_letters(&redis).await.len() == 1).await;
    let letters = dead_letters(&redis).await;
    assert!(letters[0]["reason"].as_str().unwrap().contains("3 servers died"));
    let request: Value = serde_json::from_str(letters[0]["payload"].as_str().unwrap()).unwrap();
    assert_eq!(request["name"], "die");
    // Were it tried again, it would be counted anew.
    assert_eq!(redis.command::<u64>(&format!("EXISTS {OWN}:att")).await, 0);
    assert_eq!(client.call::<u32>("work", (5,)).await.unwrap(), 5);
}

/// Three workers died with request 7, and one with five copies of request 8. Returns the replies' codes.
async fn recover(redis: &Redis, url: &str) -> (Vec<i64>, Vec<i64>) {
    let (stop, serving) = start(server(url)).await;
    let slots = [(1, 0, 7), (2, 0, 7), (3, 0, 7)].into_iter();
    let slots = slots.chain((0..5).map(|slot| (4, slot, 8)));
    for (worker, slot, id) in slots {
        let request = request(id);
        redis
            .command::<()>(&format!("RPUSH {OWN}:w:dead-{worker}:{slot} {request}"))
            .await;
        leave_heartbeat(redis, OWN, &format!("dead-{worker}")).await;
        redis
            .command::<()>(&format!("HSET {OWN}:workers dead-{worker} {{\"slots\":5}}"))
            .await;
    }
    let mut codes = (Vec::new(), Vec::new());
    for _ in 0..3 {
        codes
            .0
            .push(redis.reply(QUEUE, "7").await["error"].as_i64().unwrap());
    }
    for _ in 0..5 {
        codes
            .1
            .push(redis.reply(QUEUE, "8").await["error"].as_i64().unwrap());
    }
    codes.0.sort_unstable();
    // The dead are forgotten when everything of theirs has been dealt with.
    until(async || {
        redis
            .command::<Vec<String>>(&format!("HKEYS {OWN}:workers"))
            .await
            .len()
            == 1
    })
    .await;
    stop.cancel();
    let report = serving.await.unwrap().unwrap();
    assert_eq!(report.requeued + report.dead_lettered, 8);
    assert_eq!(
        redis.command::<Vec<String>>("KEYS *:w:*").await,
        Vec::<String>::new()
    );
    codes
}

fn request(id: u32) -> String {
    format!(r#"{{"id":{id},"name":"work","args":[{id}],"kwargs":{{}}}}"#)
}

#[tokio::test]
async fn deaths_are_counted_and_not_copies() {
    let redis = Redis::start().await;
    let codes = recover(&redis, &redis.url()).await;
    assert_eq!(codes, (vec![0, 0, code::DEAD_LETTERED], vec![0; 5]));
    let letters = dead_letters(&redis).await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["payload"], request(7));
    // Request 8 is remembered, for a day.
    assert_eq!(redis.command::<u64>(&format!("HLEN {OWN}:att")).await, 1);
    let seconds: i64 = redis.command(&format!("TTL {OWN}:att")).await;
    assert!((80_000..=86_400).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn without_scripts_everything_goes_back_to_the_queue() {
    let redis = Redis::start().await;
    redis
        .command::<()>("ACL SETUSER weak on >pw ~* &* +@all -@scripting")
        .await;
    let url = format!("redis://weak:pw@127.0.0.1:{}", redis.port());
    let codes = recover(&redis, &url).await;
    assert_eq!(codes, (vec![0; 3], vec![0; 5]));
    assert_eq!(dead_letters(&redis).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_request_that_killed_by_its_size_is_buried_unread() {
    let redis = Redis::start().await;
    let (stop, serving) = start(server(&redis.url()).max_request(1000)).await;
    let request = request(9).replace("[9]", &format!("[\"{}\"]", "x".repeat(5000)));
    for worker in 1..=3 {
        redis
            .command::<()>(&format!("RPUSH {OWN}:w:dead-{worker}:0 {request}"))
            .await;
        leave_heartbeat(&redis, OWN, &format!("dead-{worker}")).await;
        redis
            .command::<()>(&format!("HSET {OWN}:workers dead-{worker} {{\"slots\":1}}"))
            .await;
    }
    // Twice it goes to the queue and is too large, and the third time nobody reads it.
    until(async || dead_letters(&redis).await.len() == 3).await;
    until(async || redis.command::<Vec<String>>("KEYS *:w:*").await.is_empty()).await;
    stop.cancel();
    serving.await.unwrap().unwrap();
    let letters = dead_letters(&redis).await;
    let buried = letters.iter().find(|letter| {
        let reason = letter["reason"].as_str().unwrap();
        reason.contains("servers died") && reason.ends_with("it had 5046 bytes")
    });
    assert_eq!(
        buried.unwrap()["payload"].as_str().unwrap().len(),
        1000,
        "{letters:?}"
    );
}
