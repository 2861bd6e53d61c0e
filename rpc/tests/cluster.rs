//! A queue in a cluster: found on whatever node it is, followed when it moves or its node dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use rpc::{Client, Fault, Server};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::calls::start;
use crate::lost_workers::leave_heartbeat;
use crate::redis_server::{PATIENCE, Redis, free_port, until};

const SLOTS: u32 = 16384;

/// Short, so that a death is noticed soon.
const NODE_TIMEOUT: &str = "1500";

struct Cluster {
    nodes: Vec<Redis>,
}

impl Cluster {
    /// Three masters with a third of the slots each.
    async fn start() -> Self {
        let mut cluster = Self { nodes: Vec::new() };
        for _ in 0..3 {
            cluster.join().await;
        }
        for (at, node) in (0..).zip(&cluster.nodes) {
            let (first, last) = (SLOTS * at / 3, SLOTS * (at + 1) / 3 - 1);
            node.command::<()>(&format!("CLUSTER ADDSLOTSRANGE {first} {last}"))
                .await;
        }
        cluster.settled().await;
        cluster
    }

    /// Adds a node without slots.
    async fn join(&mut self) {
        // The usual port of the bus, 10000 above the other, may not exist.
        let bus = free_port().to_string();
        let enabled = ["--cluster-enabled", "yes", "--cluster-node-timeout", NODE_TIMEOUT];
        let arguments = [&enabled[..], &["--cluster-port", &bus]].concat();
        let node = Redis::start_with(&arguments).await;
        if let Some(first) = self.nodes.first() {
            first
                .command::<()>(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", node.port()))
                .await;
        }
        self.nodes.push(node);
    }

    /// Waits until all nodes know each other and who has which slots.
    async fn settled(&self) {
        until(async || {
            for node in &self.nodes {
                let info: String = node.command("CLUSTER INFO").await;
                let known = format!("cluster_known_nodes:{}\r", self.nodes.len());
                if !info.contains("cluster_state:ok") || !info.contains(&known) {
                    return false;
                }
            }
            true
        })
        .await;
    }

    fn url(&self, node: usize) -> String {
        format!("redis+cluster://127.0.0.1:{}", self.nodes[node].port())
    }

    /// Which node has the slot of this queue, and the slot.
    async fn owner(&self, queue: &str) -> (usize, u32) {
        let slot: u32 = self.nodes[0]
            .command(&format!("CLUSTER KEYSLOT asyncredisrpc:{queue}"))
            .await;
        ((slot * 3 / SLOTS) as usize, slot)
    }

    async fn id(&self, node: usize) -> String {
        self.nodes[node].command("CLUSTER MYID").await
    }
}

fn echo_server(queue: &str, url: &str) -> rpc::ServerBuilder {
    let echo = |number: i64| async move { Ok::<_, Fault>(number) };
    Server::builder(queue).redis(url).method("echo", echo)
}

fn client(queue: &str, url: &str) -> Client {
    Client::builder(queue)
        .redis(url)
        .timeout(PATIENCE)
        .build()
        .unwrap()
}

/// Calls without a pause until the token is cancelled; the number of the answered ones can be watched.
fn keep_calling(client: Client, stop: CancellationToken) -> (Arc<AtomicI64>, JoinHandle<()>) {
    let answered = Arc::new(AtomicI64::new(0));
    let counter = Arc::clone(&answered);
    let calling = tokio::spawn(async move {
        while !stop.is_cancelled() {
            let number = counter.load(SeqCst);
            let call = client.request("echo").params((number,)).idempotent();
            assert_eq!(call.send::<i64>().await.unwrap(), number);
            counter.fetch_add(1, SeqCst);
        }
    });
    (answered, calling)
}

#[tokio::test]
async fn a_queue_is_found_on_whatever_node_it_is() {
    let cluster = Cluster::start().await;
    let mut nodes_used = [false; 3];
    for queue in ["math", "logs", "{shop}a", "a", "b", "c"] {
        nodes_used[cluster.owner(queue).await.0] = true;
        let (stop, serving) = start(echo_server(queue, &cluster.url(0))).await;
        let client = client(queue, &cluster.url(1));
        assert_eq!(client.call::<i64>("echo", (7,)).await.unwrap(), 7);
        client.notify("echo", (7,)).await.unwrap();
        until(async || client.queue_state().await.unwrap().len == 0).await;
        stop.cancel();
        assert_eq!(serving.await.unwrap().unwrap().handled, 2);
    }
    assert_eq!(nodes_used, [true; 3], "the queues' names are badly chosen");
}

#[tokio::test]
async fn a_slow_call_is_not_disturbed_by_looking_for_a_reply_of_python() {
    let cluster = Cluster::start().await;
    let slow = |(): ()| async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await; // slow on purpose
        Ok::<_, Fault>(1)
    };
    let server = Server::builder("math").redis(cluster.url(2)).method("slow", slow);
    let (stop, serving) = start(server).await;
    let call = client("math", &cluster.url(0)).request("slow").idempotent();
    assert_eq!(call.send::<i64>().await.unwrap(), 1);
    stop.cancel();
    assert_eq!(serving.await.unwrap().unwrap().handled, 1);
}

#[tokio::test]
async fn calls_follow_their_queue_to_another_node() {
    let cluster = Cluster::start().await;
    let (from, slot) = cluster.owner("math").await;
    let to = (from + 1) % 3;
    let stop = CancellationToken::new();
    let _serving = start(echo_server("math", &cluster.url(to))).await;
    let (answered, calling) = keep_calling(client("math", &cluster.url(to)), stop.clone());
    until(async || answered.load(SeqCst) > 10).await;

    let (source, target) = (&cluster.nodes[from], &cluster.nodes[to]);
    let (source_id, target_id) = (cluster.id(from).await, cluster.id(to).await);
    target
        .command::<()>(&format!("CLUSTER SETSLOT {slot} IMPORTING {source_id}"))
        .await;
    source
        .command::<()>(&format!("CLUSTER SETSLOT {slot} MIGRATING {target_id}"))
        .await;
    loop {
        let keys: Vec<String> = source.command(&format!("CLUSTER GETKEYSINSLOT {slot} 100")).await;
        if keys.is_empty() {
            break;
        }
        let port = target.port();
        source
            .command::<()>(&format!(
                "MIGRATE 127.0.0.1 {port}  0 5000 KEYS {}",
                keys.join(" ")
            ))
            .await;
    }
    for node in [target, source] {
        node.command::<()>(&format!("CLUSTER SETSLOT {slot} NODE {target_id}"))
            .await;
    }
    let before = answered.load(SeqCst);
    until(async || answered.load(SeqCst) > before + 10).await;
    stop.cancel();
    calling.await.unwrap();
}

#[tokio::test]
async fn calls_go_on_when_the_node_of_their_queue_dies() {
    let mut cluster = Cluster::start().await;
    let (owner, _) = cluster.owner("math").await;
    let id = cluster.id(owner).await;
    cluster.join().await;
    cluster.settled().await;
    let replica = &cluster.nodes[3];
    replica.command::<()>(&format!("CLUSTER REPLICATE {id}")).await;
    until(async || {
        replica
            .command::<String>("INFO replication")
            .await
            .contains("master_link_status:up")
    })
    .await;

    // The only node that the address names is the one that dies.
    let url = cluster.url(owner);
    let stop = CancellationToken::new();
    let _serving = start(echo_server("math", &url)).await;
    let (answered, calling) = keep_calling(client("math", &url), stop.clone());
    until(async || answered.load(SeqCst) > 10).await;
    cluster.nodes[owner].kill();
    until(async || {
        cluster.nodes[3]
            .command::<String>("INFO replication")
            .await
            .contains("role:master")
    })
    .await;
    let before = answered.load(SeqCst);
    until(async || answered.load(SeqCst) > before + 10).await;
    stop.cancel();
    calling.await.unwrap();
}

#[tokio::test]
async fn what_dead_servers_left_in_a_cluster_is_recovered_and_given_up() {
    let cluster = Cluster::start().await;
    let own = "{asyncredisrpc:math}";
    let node = &cluster.nodes[cluster.owner("math").await.0];
    let request = |id: u32| format!(r#"{{"id":{id},"name":"echo","args":[{id}],"kwargs":{{}}}}"#);
    let (stop, serving) = start(echo_server("math", &cluster.url(0))).await;
    for (worker, id) in [(1, 8), (2, 8), (3, 8), (4, 7)] {
        let slot = format!("RPUSH {own}:w:dead-{worker}:0 {}", request(id));
        node.command::<()>(&slot).await;
        leave_heartbeat(node, own, &format!("dead-{worker}")).await;
        let registered = format!("HSET {own}:workers dead-{worker} {{\"slots\":1}}");
        node.command::<()>(&registered).await;
    }
    for (id, replies) in [(7, 1), (8, 3)] {
        until(async || node.command::<u64>(&format!("LLEN {own}:reply:{id}")).await == replies).await;
    }
    until(async || node.command::<u64>(&format!("HLEN {own}:workers")).await == 1).await;
    assert_eq!(node.command::<u64>(&format!("LLEN {own}:dead")).await, 1);
    stop.cancel();
    let report = serving.await.unwrap().unwrap();
    assert_eq!((report.handled, report.requeued, report.dead_lettered), (3, 3, 1));
}
