//! The names of the Redis keys of one queue. Nobody else builds a key name.
//!
//! Requests and replies have the names that `asyncredisrpc` fixed. Everything of ours begins with the queue's
//! hash tag, so that it lies in the same cluster slot as the queue and no queue name can collide with it.

use std::fmt::Write as _;

use crate::{Address, Error};

const PREFIX: &str = "asyncredisrpc:";

/// What stands between our own prefix and the client's name in the name of an inbox.
const INBOX: &str = ":inbox:";

#[derive(Debug, Clone)]
pub(crate) struct Keys {
    queue: String,
    own: String,
    /// What a reply's list begins with.
    replies: String,
}

impl Keys {
    /// # Errors
    ///
    /// [`Error::Config`] for an empty name and for one with a stray brace, whose cluster slot no tag could name.
    pub(crate) fn new(queue: &str) -> Result<Self, Error> {
        let name = format!("{PREFIX}{queue}");
        let own = match (queue.is_empty(), hash_tag(queue)) {
            (true, _) => return Err(Error::Config("the queue's name is empty".to_owned())),
            // Queues may share a tag, so the name must follow it.
            (false, Some(tag)) => format!("{{{tag}}}:{name}"),
            (false, None) if queue.contains(['{', '}']) => {
                return Err(Error::Config(format!(
                    "the queue's name {queue:?} has a brace outside of a hash tag"
                )));
            }
            (false, None) => format!("{{{name}}}"),
        };
        Ok(Self {
            replies: name.clone(),
            queue: name,
            own,
        })
    }

    /// The keys as they are there. In a cluster the list of a reply must lie in the slot of the queue, too. The name
    /// that Python knows does so only if the queue's name has a hash tag, but Python's clients do not speak to a cluster.
    pub(crate) fn at(self, address: &Address) -> Self {
        if address.is_cluster() && hash_tag(&self.queue).is_none() {
            let replies = format!("{}:reply", self.own);
            return Self { replies, ..self };
        }
        self
    }

    /// The queue's name, as clients and servers were given it.
    pub(crate) fn name(&self) -> &str {
        &self.queue[PREFIX.len()..]
    }

    /// List of requests.
    pub(crate) fn queue(&self) -> &str {
        &self.queue
    }

    /// List with the reply for a caller that gave no inbox.
    pub(crate) fn reply(&self, id: impl std::fmt::Display) -> String {
        format!("{}:{id}", self.replies)
    }

    /// A pattern that fits every reply's list, and perhaps others.
    pub(crate) fn reply_pattern(&self) -> String {
        let mut pattern = String::new();
        for letter in self.replies.chars() {
            if matches!(letter, '*' | '?' | '[' | ']' | '\\') {
                pattern.push('\\');
            }
            pattern.push(letter);
        }
        pattern + ":*"
    }

    /// List with all replies for one client.
    pub(crate) fn inbox(&self, client: &str) -> String {
        format!("{}{INBOX}{client}", self.own)
    }

    /// Whether this is the name of an inbox of this queue.
    pub(crate) fn is_inbox(&self, key: &str) -> bool {
        key.strip_prefix(&self.own)
            .is_some_and(|rest| rest.starts_with(INBOX))
    }

    /// List with the one request that a worker has in this slot.
    pub(crate) fn slot(&self, worker: &str, slot: u64) -> String {
        // For every request there are two, and it would grow several times.
        let mut key = String::with_capacity(self.own.len() + worker.len() + 24);
        write!(key, "{}:w:{worker}:{slot}", self.own).expect("a text takes more text");
        key
    }

    /// Text that expires when the worker no longer renews it.
    pub(crate) fn heartbeat(&self, worker: &str) -> String {
        format!("{}:hb:{worker}", self.own)
    }

    /// Hash from worker to what is needed to find its slots.
    pub(crate) fn workers(&self) -> String {
        format!("{}:workers", self.own)
    }

    /// Text that is there for a while after a worker's requests were taken away from it.
    pub(crate) fn lost(&self, worker: &str) -> String {
        format!("{}:lost:{worker}", self.own)
    }

    /// Channel on which servers are told which calls were cancelled.
    pub(crate) fn control(&self) -> String {
        format!("{}:ctl", self.own)
    }

    /// Text with the name of the service that serves the queue alone.
    pub(crate) fn lease(&self) -> String {
        format!("{}:lease", self.own)
    }

    /// List of dead letters.
    pub(crate) fn dead(&self) -> String {
        format!("{}:dead", self.own)
    }

    /// Hash from a request's digest to the workers that died while they had it.
    pub(crate) fn deaths(&self) -> String {
        format!("{}:att", self.own)
    }
}

/// What Redis Cluster hashes instead of the whole name: the text between the first `{` and the `}` after it.
fn hash_tag(name: &str) -> Option<&str> {
    let (tag, _) = name.split_once('{')?.1.split_once('}')?;
    (!tag.is_empty()).then_some(tag)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(queue: &str, reply: &str, slot: &str) {
        let keys = Keys::new(queue).unwrap();
        assert_eq!(
            (keys.reply("7").as_str(), keys.slot("w", 3).as_str()),
            (reply, slot)
        );
        let tag = hash_tag(keys.queue()).unwrap_or(keys.queue());
        for key in [
            keys.slot("w", 3),
            keys.inbox("c"),
            keys.heartbeat("w"),
            keys.workers(),
            keys.lost("w"),
            keys.control(),
            keys.lease(),
            keys.dead(),
            keys.deaths(),
        ] {
            assert_eq!(
                hash_tag(&key),
                Some(tag),
                "{key} lies in another cluster slot than the queue"
            );
        }
    }

    #[test]
    fn our_keys_lie_in_the_cluster_slot_of_the_queue() {
        check("math", "asyncredisrpc:math:7", "{asyncredisrpc:math}:w:w:3");
        check("{a}b", "asyncredisrpc:{a}b:7", "{a}:asyncredisrpc:{a}b:w:w:3");
    }

    #[test]
    fn in_a_cluster_replies_lie_in_the_slot_of_the_queue() {
        let cluster: Address = "redis+cluster://h".parse().unwrap();
        let reply = |queue| Keys::new(queue).unwrap().at(&cluster).reply(7);
        assert_eq!(reply("math"), "{asyncredisrpc:math}:reply:7");
        assert_eq!(reply("{a}b"), "asyncredisrpc:{a}b:7");
    }

    #[test]
    fn an_inbox_of_another_queue_is_none() {
        let keys = Keys::new("math").unwrap();
        assert!(keys.is_inbox(&keys.inbox("c")));
        for key in [
            Keys::new("maths").unwrap().inbox("c"),
            keys.slot("w", 3),
            keys.dead(),
            String::new(),
        ] {
            assert!(!keys.is_inbox(&key), "{key}");
        }
    }

    #[test]
    fn a_queue_name_that_no_tag_can_follow_is_refused() {
        for queue in ["", "a{", "a}", "{}", "}{"] {
            assert!(matches!(Keys::new(queue), Err(Error::Config(_))), "{queue:?}");
        }
    }

    /// A private node of a cluster, killed when dropped.
    struct Node {
        process: std::process::Child,
        _folder: tempfile::TempDir,
    }

    impl Node {
        fn start() -> (Self, redis::Connection) {
            let free_port = || {
                std::net::TcpListener::bind("127.0.0.1:0")?
                    .local_addr()
                    .map(|addr| addr.port())
            };
            let (port, bus) = (free_port().unwrap(), free_port().unwrap());
            let folder = tempfile::tempdir().unwrap();
            let process = std::process::Command::new("redis-server")
                .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
                .args(["--cluster-enabled", "yes", "--cluster-port", &bus.to_string()])
                .args(["--save", "", "--dir"])
                .arg(folder.path())
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap();
            let node = Self {
                process,
                _folder: folder,
            };
            let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
            let connected = (0..2000).find_map(|_| {
                std::thread::sleep(std::time::Duration::from_millis(5)); // polling
                client.get_connection().ok()
            });
            (node, connected.expect("redis-server starts"))
        }
    }

    impl Drop for Node {
        fn drop(&mut self) {
            self.process.kill().unwrap();
            self.process.wait().unwrap();
        }
    }

    #[test]
    fn redis_itself_finds_all_keys_of_a_queue_in_one_slot() {
        let (_node, connection) = Node::start();
        let connection = std::cell::RefCell::new(connection);
        let cluster: Address = "redis+cluster://h".parse().unwrap();
        let name = prop_oneof![
            "[ab:{}]{1,8}",
            "[ab]{0,2}\\{[ab{]{1,3}\\}[ab{}]{0,2}",
            any::<String>()
        ];
        proptest!(|(name in name, id in "[0-9A-Za-z_-]{1,64}", slot: u64)| {
            let Ok(keys) = Keys::new(&name) else { return Ok(()) };
            let keys = keys.at(&cluster);
            let ours = [
                keys.queue().to_owned(),
                keys.reply(&id),
                keys.inbox(&id),
                keys.slot(&id, slot),
                keys.heartbeat(&id),
                keys.workers(),
                keys.lost(&id),
                keys.dead(),
                keys.deaths(),
            ];
            let mut question = redis::pipe();
            for key in &ours {
                question.cmd("CLUSTER").arg("KEYSLOT").arg(key);
            }
            let slots: Vec<u16> = question.query(&mut *connection.borrow_mut()).unwrap();
            prop_assert!(slots.iter().all(|slot| *slot == slots[0]), "{:?} {:?}", ours, slots);
        });
    }
}
