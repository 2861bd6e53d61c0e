//! Both ways with the Python package.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use rpc::{Client, Error, Fault, Kw, Server};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::python::{Library, Python};
use crate::redis_server::{PATIENCE, Redis, until};

const PYTHON_SERVER: &str = r"
import sys, time
from asyncredisrpc.server import AsyncServer
server = AsyncServer('math', '127.0.0.1', sys.argv[1])

@server.task
async def sum(x, y=0):
    return x + y

@server.task
async def echo(value):
    return value

@server.task
async def who():
    time.sleep(0.001) # slow, so that the other server gets calls too
    return 'python'

@server.task
async def nan():
    return [float('nan'), float('-inf')]

@server.task
async def huge():
    return [2**70, float('1e400')]

@server.task
async def surrogate():
    return 'a\ud800b'

@server.on_server_start
async def started():
    print('true', flush=True)

server.run()
";

const PYTHON_CLIENT: &str = r"
import asyncio, json, sys
from asyncredisrpc.client import AsyncClient

async def main():
    client = AsyncClient('math', '127.0.0.1', sys.argv[1])
    await client.connect()
    async def show(name, *args, **kwargs):
        print(json.dumps(await client.call(name, *args, **kwargs)), flush=True)
    await show('sum', 14, 3)
    await show('sum', 14, y=3)
    await show('sum', y=3, x=14)
    await show('sum', 14)
    await show('nothing', 1)
    await show('on_server_start')
    await show('echo', 'Grüße 登录 \U0001f600 \n\x00')
    await show('echo', float('nan'))
    await show('echo', [float('inf'), float('-inf'), '\ud800'])
    await show('fail')
    await show('sum', 1, 2, 3)
    replies = await asyncio.gather(*(client.call('sum', i, i) for i in range(200)))
    print(json.dumps(replies == [(0, 2 * i) for i in range(200)]), flush=True)

asyncio.run(main())
";

/// Says how often each server answered.
const PYTHON_CALLER: &str = r"
import asyncio, collections, json, sys
from asyncredisrpc.client import AsyncClient

async def main():
    client = AsyncClient('math', '127.0.0.1', sys.argv[1])
    await client.connect()
    answers = collections.Counter()
    for _ in range(50):
        for code, who in await asyncio.gather(*(client.call('who') for _ in range(4))):
            assert code == 0
            answers[who] += 1
    print(json.dumps([answers['python'], answers['rust']]), flush=True)

asyncio.run(main())
";

#[derive(Deserialize, Serialize)]
struct Sum {
    x: i64,
    #[serde(default)]
    y: i64,
}

async fn sum(terms: Sum) -> Result<i64, Fault> {
    Ok(terms.x + terms.y)
}

async fn echo(value: Value) -> Result<Value, Fault> {
    Ok(value)
}

async fn fail(_: ()) -> Result<(), Fault> {
    Err(Fault::app(123, "no"))
}

async fn rust_server(
    redis: &Redis,
    stop: &CancellationToken,
) -> tokio::task::JoinHandle<Result<rpc::Report, Error>> {
    let who = |_: ()| async { Ok::<_, Fault>("rust") };
    let server = Server::builder("math").redis(redis.url());
    let server = server
        .method("sum", sum)
        .method("echo", echo)
        .method("fail", fail)
        .method("who", who)
        .build()
        .unwrap();
    let ready = server.ready();
    let serving = tokio::spawn(server.run(stop.clone()));
    assert!(ready.await);
    serving
}

async fn python_server(library: Library, redis: &Redis) -> Python {
    let mut python = Python::run(library, redis, PYTHON_SERVER);
    assert_eq!(python.line().await, json!(true));
    python
}

fn client(redis: &Redis) -> Client {
    Client::builder("math")
        .redis(redis.url())
        .timeout(PATIENCE)
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_python_client_is_served() {
    for library in Library::ALL {
        serve_python_client(library).await;
    }
}

async fn serve_python_client(library: Library) {
    let redis = Redis::start().await;
    let _serving = rust_server(&redis, &CancellationToken::new()).await;
    let mut python = Python::run(library, &redis, PYTHON_CLIENT);
    for expected in [
        json!([0, 17]),
        json!([0, 17]),
        json!([0, 17]),
        json!([0, 14]),
        json!([1, null]),
        json!([1, null]),
        json!([0, "Grüße 登录 😀 \n\0"]),
        json!([0, "NaN"]),
        json!([0, ["Infinity", "-Infinity", "\u{fffd}"]]),
        json!([123, {"message": "no"}]),
        json!([3, {"message": "sum() takes from 1 to 2 positional arguments but 3 were given"}]),
        json!(true),
    ] {
        assert_eq!(python.line().await, expected);
    }
}

#[tokio::test]
async fn a_python_server_is_called() {
    for library in Library::ALL {
        call_python_server(library).await;
    }
}

async fn call_python_server(library: Library) {
    let redis = Redis::start().await;
    let _python = python_server(library, &redis).await;
    let client = client(&redis);
    assert_eq!(client.call::<i64>("sum", (14, 3)).await.unwrap(), 17);
    assert_eq!(
        client.call::<i64>("sum", Kw(&Sum { x: 14, y: 3 })).await.unwrap(),
        17
    );
    let text = "Grüße 登录 😀 \n\0";
    assert_eq!(client.call::<String>("echo", (text,)).await.unwrap(), text);
    assert_eq!(
        client.call::<Value>("nan", ()).await.unwrap(),
        json!(["NaN", "-Infinity"])
    );
    assert_eq!(
        client.call::<String>("surrogate", ()).await.unwrap(),
        "a\u{fffd}b"
    );
    let (code, raw) = client.call_raw("echo", (u64::MAX,)).await.unwrap();
    assert_eq!((code, raw.get()), (0, "18446744073709551615"));
    assert!(
        matches!(client.call::<u8>("nothing", ()).await, Err(Error::UnknownMethod { method }) if method == "nothing")
    );
    assert!(
        matches!(client.call::<u8>("echo", ("a",)).await, Err(Error::Decode { raw, .. }) if raw == "\"a\"")
    );

    // A number that does not fit is an error, and its text is there for who wants it.
    assert!(matches!(
        client.call::<Vec<u64>>("huge", ()).await,
        Err(Error::Decode { .. })
    ));
    let (_, raw) = client.call_raw("huge", ()).await.unwrap();
    assert_eq!(raw.get(), r#"[1180591620717411303424, "Infinity"]"#);

    let calls = join_all((0..500).map(|i| client.call::<i64>("sum", (i, i)))).await;
    for (i, total) in (0..500).zip(calls) {
        assert_eq!(total.unwrap(), 2 * i);
    }
    assert_eq!(redis.command::<Vec<String>>("KEYS *").await, Vec::<String>::new());
}

/// Case 3 of the list of failures that the wire was designed against.
#[tokio::test]
async fn python_and_rust_servers_share_a_queue() {
    let redis = Redis::start().await;
    let stop = CancellationToken::new();
    let (_python, serving) = (
        python_server(Library::Redis7, &redis).await,
        rust_server(&redis, &stop).await,
    );
    let client = client(&redis);
    let mut caller = Python::run(Library::Redis7, &redis, PYTHON_CALLER);
    let mut answered = (0, 0);
    // In small groups, so that neither server can take everything while the other wakes up.
    for _ in 0..50 {
        for name in join_all((0..4).map(|_| client.call::<String>("who", ()))).await {
            match name.unwrap().as_str() {
                "python" => answered.0 += 1,
                _ => answered.1 += 1,
            }
        }
    }
    let (by_python, by_rust): (u64, u64) = serde_json::from_value(caller.line().await).unwrap();
    assert_eq!((by_python + by_rust, answered.0 + answered.1), (200, 200));
    let (python, rust) = (by_python + answered.0, by_rust + answered.1);
    assert!(python > 0 && rust > 0, "python, rust: {answered:?}");
    stop.cancel();
    assert_eq!(serving.await.unwrap().unwrap().handled, rust);
}

/// Takes the next request as a Python server does, and returns its id.
async fn taken(redis: &Redis) -> String {
    let request = loop {
        match redis.command::<Option<String>>("LPOP asyncredisrpc:math").await {
            Some(request) => break serde_json::from_str::<Value>(&request).unwrap(),
            None => tokio::time::sleep(Duration::from_millis(5)).await, // polling
        }
    };
    for key in ["id", "name", "args", "kwargs"] {
        assert!(request.get(key).is_some(), "{key} is missing");
    }
    request["id"].as_str().unwrap().to_owned()
}

/// Answers as a Python server does.
async fn answer(redis: &Redis, id: &str) {
    redis
        .command::<()>(&format!(
            "RPUSH asyncredisrpc:math:{id} {{\"error\":0,\"result\":7}}"
        ))
        .await;
}

#[tokio::test]
async fn a_slow_python_reply_arrives() {
    let redis = Redis::start().await;
    let client = client(&redis);
    let call = tokio::spawn(async move { client.call::<u8>("anything", ()).await });
    let id = taken(&redis).await;
    tokio::time::sleep(Duration::from_millis(300)).await; // a slow server: later than the first sweeps
    answer(&redis, &id).await;
    assert_eq!(call.await.unwrap().unwrap(), 7);
}

/// Case 20: many calls of a server that answers one at a time.
#[tokio::test]
async fn few_lists_are_waited_for_on_one_connection_however_many_calls_there_are() {
    let redis = Redis::start().await;
    let _python = python_server(Library::Redis7, &redis).await;
    let client = client(&redis);
    // From its reply the client knows whom it deals with.
    assert_eq!(client.call::<i64>("sum", (1, 1)).await.unwrap(), 2);
    let mut overheard = redis.overhear().await;
    let calls = join_all((0..500).map(|_| client.call::<String>("who", ()))).await;
    assert!(
        calls
            .into_iter()
            .all(|answer| answer.is_ok_and(|who| who == "python"))
    );
    let said = overheard.so_far(&redis).await;
    let waits: Vec<Vec<&str>> = said
        .iter()
        .filter(|line| line.contains(r#""BLMPOP""#))
        .map(|line| line.split(' ').collect())
        .collect();
    // When, in which database, from which connection, BLMPOP, how long, and on how many lists.
    let connections: BTreeSet<&str> = waits.iter().map(|wait| wait[2]).collect();
    assert_eq!(connections.len(), 1, "{connections:?}");
    let most = waits
        .iter()
        .map(|wait| wait[5].trim_matches('"').parse::<u32>().unwrap());
    assert_eq!(most.max(), Some(64));
}

/// Case 20: the reader already waits when there is another list to wait for.
#[tokio::test]
async fn a_reader_that_waits_is_woken_for_another_list() {
    let redis = Redis::start().await;
    let client = client(&redis);
    let call = || {
        let client = client.clone();
        tokio::spawn(async move { client.call::<u8>("anything", ()).await })
    };
    let first = call();
    answer(&redis, &taken(&redis).await).await;
    assert_eq!(first.await.unwrap().unwrap(), 7);
    // It knows a Python server now, and has nothing to wait for but its inbox.
    until(async || {
        let clients: String = redis.command("CLIENT LIST").await;
        clients
            .lines()
            .any(|client| client.contains(" flags=b ") && client.contains(" cmd=blmpop"))
    })
    .await;
    let mut overheard = redis.overhear().await;
    let second = call();
    let id = taken(&redis).await;
    let waits_for_it = |line: &String| line.contains("BLMPOP") && line.contains(&id);
    let mut said = Vec::new();
    while !said.iter().any(waits_for_it) {
        said.extend(overheard.so_far(&redis).await);
    }
    let wakes_itself = |line: &String| line.contains(":inbox:") && line.ends_with(r#" """#);
    assert_eq!(
        said.iter().filter(|line| wakes_itself(line)).count(),
        1,
        "{said:#?}"
    );
    answer(&redis, &id).await;
    assert_eq!(second.await.unwrap().unwrap(), 7);
}

/// What the guide for those who come from Python warns of.
#[tokio::test]
async fn a_python_server_on_redis_8_ends_when_it_has_nothing_to_do() {
    let redis = Redis::start().await;
    let (mut idle, _told_otherwise) = (
        python_server(Library::Redis8AsItIs, &redis).await,
        python_server(Library::Redis8, &redis).await,
    );
    idle.ended().await;
    assert_eq!(client(&redis).call::<i64>("sum", (14, 3)).await.unwrap(), 17);
}
