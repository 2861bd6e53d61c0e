//! Whom to talk to now: the Redis of the URL, the master that its Sentinels name, or the cluster node that owns the
//! queue. It is found out anew for every connection, so whoever lost one follows a failover by asking for another.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    AsyncConnectionConfig, ConnectionAddr, ErrorKind, IntoConnectionInfo, ProtocolVersion, PushInfo,
    RedisConnectionInfo, Value, from_redis_value,
};
use tokio::sync::mpsc;

use super::address::{Host, Login, Place};
use super::{
    ASK_TIMEOUT, Address, BLOCK, BLOCK_GRACE, CONNECT_TIMEOUT, Connection, RESPONSE_TIMEOUT, RedisError,
    RedisResult, cmd, pipe,
};

/// An idle connection whose other end vanished without a word is noticed after these: so long idle, then so often
/// asked, so many times.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;

/// So long may sent bytes stay unacknowledged; the system's own patience is a quarter of an hour.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(15);

/// Prints no password.
#[derive(Clone)]
pub(crate) struct Endpoint {
    address: Address,
    /// The key by whose cluster slot the node is found.
    key: Arc<str>,
    /// The cluster's nodes, or the other Sentinels, as last heard of, so that the URL need not name them all.
    learned: Arc<Mutex<Vec<Host>>>,
}

impl Endpoint {
    /// What is at the address, for keys in the cluster slot of `key`.
    pub(crate) fn new(address: Address, key: &str) -> Self {
        Self {
            address,
            key: key.into(),
            learned: Arc::default(),
        }
    }

    /// A connection for one loop of blocking commands.
    pub(crate) async fn dedicated(&self) -> RedisResult<Connection> {
        self.open(
            config(CONNECT_TIMEOUT, BLOCK + BLOCK_GRACE),
            ProtocolVersion::RESP2,
        )
        .await
    }

    /// A connection for many short commands, and a channel that closes when it breaks.
    pub(super) async fn multiplexed(&self) -> RedisResult<(Connection, mpsc::UnboundedReceiver<PushInfo>)> {
        let (pushed, pushes) = mpsc::unbounded_channel();
        let config = config(CONNECT_TIMEOUT, RESPONSE_TIMEOUT)
            .set_pipeline_buffer_size(1024)
            .set_push_sender(pushed);
        // Only with RESP3 does the library tell at once that an idle connection broke.
        Ok((self.open(config, ProtocolVersion::RESP3).await?, pushes))
    }

    async fn open(
        &self,
        config: AsyncConnectionConfig,
        protocol: ProtocolVersion,
    ) -> RedisResult<Connection> {
        let login = settings(&self.address.login)
            .set_db(self.address.db)
            .set_protocol(protocol);
        match &self.address.place {
            Place::Server(host) => self.connect(host, login, &config).await,
            Place::Socket(path) => {
                let info = ConnectionAddr::Unix(path.clone()).into_connection_info()?;
                let client = redis::Client::open(info.set_redis_settings(login))?;
                client.get_multiplexed_async_connection_with_config(&config).await
            }
            Place::Sentinels { sentinels, .. } => {
                let master = self.find(sentinels).await?;
                let mut connection = self.connect(&master, login, &config).await?;
                check_is_master(&mut connection).await?;
                Ok(connection)
            }
            Place::Cluster(seeds) => {
                let owner = self.find(seeds).await?;
                self.connect(&owner, login, &config).await
            }
        }
    }

    async fn connect(
        &self,
        host: &Host,
        login: RedisConnectionInfo,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<Connection> {
        let (name, port) = (host.name.clone(), host.port);
        let addr = match &self.address.tls {
            None => ConnectionAddr::Tcp(name, port),
            Some(tls) => ConnectionAddr::TcpTls {
                host: name,
                port,
                insecure: tls.insecure,
                tls_params: None,
            },
        };
        let info = addr
            .into_connection_info()?
            .set_tcp_settings(socket())
            .set_redis_settings(login);
        let client = match &self.address.tls {
            None => redis::Client::open(info)?,
            Some(tls) => tls.client(info)?,
        };
        client.get_multiplexed_async_connection_with_config(config).await
    }

    /// Who takes our commands now, as the first of these says that answers, or else of those that they told of. They are
    /// asked in any order, so that one with an old opinion is not always the one believed.
    async fn find(&self, named: &[Host]) -> RedisResult<Host> {
        let mut why = RedisError::from((
            ErrorKind::EmptySentinelList,
            "there is nobody to ask for the master",
        ));
        let (mut asked, mut others) = (named.to_vec(), self.learned().clone());
        others.retain(|host| !named.contains(host));
        fastrand::shuffle(&mut asked);
        fastrand::shuffle(&mut others);
        asked.extend(others);
        for host in asked {
            let answer = match &self.address.place {
                Place::Sentinels { master, login, .. } => self.ask_sentinel(&host, master, login).await,
                Place::Cluster(_) => self.ask_node(&host).await,
                Place::Server(_) | Place::Socket(_) => Ok(host),
            };
            match answer {
                Ok(found) => return Ok(found),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    async fn ask_sentinel(&self, sentinel: &Host, master: &str, login: &Login) -> RedisResult<Host> {
        let mut connection = self
            .connect(sentinel, settings(login), &config(ASK_TIMEOUT, ASK_TIMEOUT))
            .await?;
        let mut question = cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
        let found: Option<(String, u16)> = question.query_async(&mut connection).await?;
        let (name, port) = found.ok_or((
            ErrorKind::MasterNameNotFoundBySentinel,
            "the Sentinel knows no master of this name",
        ))?;
        let mut question = cmd("SENTINEL");
        question.arg("SENTINELS").arg(master);
        // One that does not tell of the others has answered what was asked all the same.
        let others: Vec<HashMap<String, String>> =
            question.query_async(&mut connection).await.unwrap_or_default();
        let place = |other: &HashMap<String, String>| {
            Some(Host {
                name: other.get("ip")?.clone(),
                port: other.get("port")?.parse().ok()?,
            })
        };
        let others = others.iter().filter_map(place);
        *self.learned() = others.chain([sentinel.clone()]).collect();
        Ok(Host { name, port })
    }

    async fn ask_node(&self, node: &Host) -> RedisResult<Host> {
        let login = settings(&self.address.login);
        let mut connection = self
            .connect(node, login, &config(ASK_TIMEOUT, ASK_TIMEOUT))
            .await?;
        let mut question = pipe();
        question
            .cmd("CLUSTER")
            .arg("KEYSLOT")
            .arg(&*self.key)
            .cmd("CLUSTER")
            .arg("SLOTS");
        let (slot, ranges): (u16, Vec<Vec<Value>>) = question.query_async(&mut connection).await?;
        let mut owner = None;
        let mut nodes: Vec<Host> = Vec::new();
        for range in ranges {
            let range = read_range(range, node)?;
            if range.slots.contains(&slot) {
                owner = range.nodes.first().cloned();
            }
            nodes.extend(range.nodes);
        }
        nodes.sort_unstable();
        nodes.dedup();
        *self.learned() = nodes;
        Ok(owner.ok_or((
            ErrorKind::ClusterConnectionNotFound,
            "no node of the cluster owns the queue",
        ))?)
    }

    fn learned(&self) -> MutexGuard<'_, Vec<Host>> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.address)
    }
}

/// Slots of a cluster and who has them, the master first.
struct Range {
    slots: std::ops::RangeInclusive<u16>,
    nodes: Vec<Host>,
}

/// Reads an element of the answer to `CLUSTER SLOTS`. A node that does not say where it is, is where it was asked.
fn read_range(range: Vec<Value>, asked: &Host) -> RedisResult<Range> {
    let mut parts = range.into_iter();
    let mut next = || parts.next().unwrap_or(Value::Nil);
    let slots = from_redis_value(next())?..=from_redis_value(next())?;
    let mut nodes = Vec::new();
    for node in parts {
        let mut parts = from_redis_value::<Vec<Value>>(node)?.into_iter();
        let mut next = || parts.next().unwrap_or(Value::Nil);
        let name: Option<String> = from_redis_value(next())?;
        let name = name
            .filter(|name| !name.is_empty() && name != "?")
            .unwrap_or_else(|| asked.name.clone());
        let port = from_redis_value(next())?;
        nodes.push(Host { name, port });
    }
    Ok(Range { slots, nodes })
}

/// A Sentinel may not have heard yet that its master is none any more.
async fn check_is_master(connection: &mut Connection) -> RedisResult<()> {
    let role: Vec<Value> = cmd("ROLE").query_async(connection).await?;
    let role: String = role
        .into_iter()
        .next()
        .map_or_else(|| Ok(String::new()), from_redis_value)?;
    if role == "master" {
        return Ok(());
    }
    Err((ErrorKind::Client, "whom the Sentinels call master is none", role).into())
}

fn settings(login: &Login) -> RedisConnectionInfo {
    let settings = RedisConnectionInfo::default();
    let settings = login
        .user
        .iter()
        .fold(settings, |settings, user| settings.set_username(user));
    login
        .password
        .iter()
        .fold(settings, |settings, password| settings.set_password(password))
}

fn config(connect: Duration, response: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(connect))
        .set_response_timeout(Some(response))
}

fn socket() -> TcpSettings {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    let socket = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(target_os = "linux")]
    let socket = socket.set_user_timeout(UNACKNOWLEDGED);
    socket
}
