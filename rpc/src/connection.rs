//! Connections to Redis, and everything that is special to the client library: its timeouts (500 ms by default,
//! even for commands that block), its socket options, its errors. A new major version of it changes this file.
//!
//! Promises: nothing here waits for the network before it is polled; a lost connection is replaced for ever, with
//! growing and jittered pauses; a command is never repeated on its own. Knows nothing of requests and replies.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    AsyncConnectionConfig, ErrorKind, FromRedisValue, IntoConnectionInfo, ProtocolVersion, ServerErrorKind,
};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use crate::Error;

pub(crate) use redis::aio::MultiplexedConnection as Connection;
pub(crate) use redis::{Pipeline, RedisError, RedisResult, cmd, pipe};

/// What is used when no URL was given.
pub(crate) const DEFAULT_URL: &str = "redis://127.0.0.1:6379";

/// How long a blocking command waits in Redis. It bounds how long a ghost of a lost connection can take elements,
/// and costs half a command per second when idle.
pub(crate) const BLOCK: Duration = Duration::from_secs(2);

/// Redis may answer a blocking command later than asked; beyond this the connection counts as dead.
const BLOCK_GRACE: Duration = Duration::from_secs(5);

/// A healthy Redis answers in milliseconds; one that forks or swaps may need seconds.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Pause before the first and before every later attempt to connect: quick after a restart, and never so slow that
/// a person waits for it.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A connection that lived this long was a good one, so the next one is tried at once again.
const PROVEN: Duration = Duration::from_secs(5);

/// How often the shared connection is probed, and our idea of the clock of Redis renewed.
const PROBE: Duration = Duration::from_secs(60);

/// So many refusals in a row (a wrong password, say) are not the passing state of a starting Redis.
pub(crate) const REFUSALS: u32 = 5;

/// Where Redis is. Prints no password.
#[derive(Clone)]
pub(crate) struct Endpoint {
    client: redis::Client,
}

impl Endpoint {
    /// # Errors
    ///
    /// [`Error::Config`] without the URL, which may hold a password.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(15));
        let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
        let client = url
            .into_connection_info()
            .and_then(|info| redis::Client::open(info.set_tcp_settings(tcp)));
        let client = client
            .map_err(|error| Error::Config(format!("the Redis URL is not usable: {}", reason(&error))))?;
        Ok(Self { client })
    }

    /// A connection for one loop of blocking commands.
    pub(crate) async fn dedicated(&self) -> RedisResult<Connection> {
        self.connect(BLOCK + BLOCK_GRACE).await
    }

    async fn connect(&self, response_timeout: Duration) -> RedisResult<Connection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(response_timeout));
        self.client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }

    /// A connection for many short commands, and a channel that closes when it breaks.
    async fn multiplexed(&self) -> RedisResult<(Connection, mpsc::UnboundedReceiver<redis::PushInfo>)> {
        let (pushed, pushes) = mpsc::unbounded_channel();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_pipeline_buffer_size(1024)
            .set_push_sender(pushed);
        // Only with RESP3 does the library tell at once that an idle connection broke.
        let info = self.client.get_connection_info().clone();
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = redis::Client::open(info.set_redis_settings(settings))?;
        Ok((
            client
                .get_multiplexed_async_connection_with_config(&config)
                .await?,
            pushes,
        ))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.client.get_connection_info().addr())
    }
}

/// The one connection that all short commands of a client or server share, replaced whenever it breaks.
#[derive(Clone)]
pub(crate) struct Shared {
    state: watch::Receiver<State>,
    /// Connections up to this number are broken.
    broken: Arc<watch::Sender<u64>>,
    clock: Clock,
}

/// A channel that the shared connection listens to, as long as Redis allows it. What comes while nobody has the time
/// for it is dropped.
pub(crate) struct Subscription {
    pub(crate) channel: String,
    pub(crate) messages: mpsc::Sender<Vec<u8>>,
}

impl Subscription {
    async fn start(&self, mut connection: Connection) {
        if let Err(error) = connection.subscribe(&self.channel).await {
            tracing::debug!(%error, "Redis allows no subscription");
        }
    }

    fn pass_on(&self, push: &redis::PushInfo) {
        if push.kind == redis::PushKind::Message
            && let [_, redis::Value::BulkString(message)] = &*push.data
        {
            // Nobody relies on it.
            let _ = self.messages.try_send(message.clone());
        }
    }
}

#[derive(Clone)]
enum State {
    Down { why: Option<RedisError>, refusals: u32 },
    Up(Live),
}

/// A connection that worked a moment ago.
#[derive(Clone)]
pub(crate) struct Live {
    connection: Connection,
    /// 1 for the first connection, then 2, and so on.
    pub(crate) number: u64,
    pub(crate) since: Instant,
}

impl Shared {
    /// The connection, and the task that keeps it; the task ends only with the last handle.
    pub(crate) fn new(
        endpoint: Endpoint,
        subscription: Option<Subscription>,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (state, receiver) = watch::channel(State::Down {
            why: None,
            refusals: 0,
        });
        let (broken, reports) = watch::channel(0);
        let clock = Clock::default();
        let shared = Self {
            state: receiver,
            broken: Arc::new(broken),
            clock: clock.clone(),
        };
        (
            shared,
            keep_connected(endpoint, state, reports, clock, subscription),
        )
    }

    /// The connection, as soon as there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the task that connects is gone.
    pub(crate) async fn live(&self) -> Result<Live, Error> {
        let mut state = self.state.clone();
        let usable = |state: &State| matches!(state, State::Up(live) if live.number > *self.broken.borrow());
        match &*state.wait_for(usable).await.map_err(|_| Error::Closed)? {
            State::Up(live) => Ok(live.clone()),
            State::Down { .. } => unreachable!("waited for a connection that is up"),
        }
    }

    /// Runs the commands once, as soon as there is a connection.
    ///
    /// # Errors
    ///
    /// [`Error::Transport`], or [`Error::Closed`] when the runtime ends.
    pub(crate) async fn run<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, Error> {
        let mut live = self.live().await?;
        let outcome = commands.query_async(&mut live.connection).await;
        outcome.map_err(|source| {
            self.report(live.number, &source);
            Error::Transport {
                maybe_sent: !is_answer(&source),
                source,
            }
        })
    }

    /// Says that a command failed, so that a broken connection is replaced.
    fn report(&self, number: u64, error: &RedisError) {
        if is_passing(error) {
            let mark = |broken: &mut u64| std::mem::replace(broken, number.max(*broken)) < number;
            self.broken.send_if_modified(mark);
        }
    }

    /// Why there is no connection at the moment, if that is known.
    pub(crate) fn why_down(&self) -> Option<RedisError> {
        match &*self.state.borrow() {
            State::Down { why, .. } => why.clone(),
            State::Up(_) => None,
        }
    }

    /// Waits until Redis has refused us so often that waiting longer makes no sense, and says why.
    pub(crate) async fn refused(&self) -> RedisError {
        let mut state = self.state.clone();
        let hopeless =
            |state: &State| matches!(state, State::Down { why: Some(_), refusals } if *refusals >= REFUSALS);
        let refused = state.wait_for(hopeless).await.map(|state| match &*state {
            State::Down { why, .. } => why.clone(),
            State::Up(_) => None,
        });
        match refused {
            Ok(Some(why)) => why,
            // The connecting task is gone; whoever owns it ends this wait, too.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Milliseconds since the epoch by the clock of Redis, which all peers share.
    pub(crate) fn redis_now_ms(&self) -> i64 {
        self.clock.now_ms()
    }
}

async fn keep_connected(
    endpoint: Endpoint,
    state: watch::Sender<State>,
    mut broken: watch::Receiver<u64>,
    clock: Clock,
    subscription: Option<Subscription>,
) {
    let mut backoff = Backoff::default();
    let mut refusals = 0;
    let mut number = 0;
    let mut told = false;
    loop {
        let why = match connect(&endpoint, &clock).await {
            Ok((connection, pushes)) => {
                (refusals, number) = (0, number + 1);
                let since = Instant::now();
                if let Some(subscription) = &subscription {
                    subscription.start(connection.clone()).await;
                }
                if std::mem::take(&mut told) {
                    tracing::info!(?endpoint, "Redis is back");
                }
                state.send_replace(State::Up(Live {
                    connection: connection.clone(),
                    number,
                    since,
                }));
                let why = wait_until_broken(
                    connection,
                    pushes,
                    number,
                    &mut broken,
                    &clock,
                    subscription.as_ref(),
                )
                .await;
                if since.elapsed() > PROVEN {
                    backoff = Backoff::default();
                }
                why
            }
            Err(error) => {
                refusals = if is_refusal(&error) { refusals + 1 } else { 0 };
                Some(error)
            }
        };
        if !std::mem::replace(&mut told, true) {
            tracing::warn!(
                ?endpoint,
                why = why.as_ref().map(tracing::field::display),
                "Redis is away"
            );
        }
        state.send_replace(State::Down { why, refusals });
        backoff.pause().await;
    }
}

async fn connect(
    endpoint: &Endpoint,
    clock: &Clock,
) -> RedisResult<(Connection, mpsc::UnboundedReceiver<redis::PushInfo>)> {
    let (mut connection, pushes) = endpoint.multiplexed().await?;
    probe(&mut connection, clock).await?;
    Ok((connection, pushes))
}

/// Returns when the connection closed, somebody reported it broken, or a probe failed.
async fn wait_until_broken(
    mut connection: Connection,
    mut pushes: mpsc::UnboundedReceiver<redis::PushInfo>,
    number: u64,
    broken: &mut watch::Receiver<u64>,
    clock: &Clock,
    subscription: Option<&Subscription>,
) -> Option<RedisError> {
    loop {
        tokio::select! {
            push = pushes.recv() => match push {
                None | Some(redis::PushInfo { kind: redis::PushKind::Disconnection, .. }) => return None,
                Some(push) => subscription.into_iter().for_each(|subscription| subscription.pass_on(&push)),
            },
            () = reported(broken, number) => return None,
            () = sleep(PROBE) => {
                if let Err(error) = probe(&mut connection, clock).await {
                    return Some(error);
                }
            }
        }
    }
}

async fn reported(broken: &mut watch::Receiver<u64>, number: u64) {
    // An error means that every handle is gone; then there is nothing to keep up either.
    let _ = broken.wait_for(|broken| *broken >= number).await;
}

/// Checks that Redis does its work (while it loads its data it answers TIME, but not PING) and reads its clock.
async fn probe(connection: &mut Connection, clock: &Clock) -> RedisResult<()> {
    let (time,) = pipe()
        .cmd("PING")
        .ignore()
        .cmd("TIME")
        .query_async(connection)
        .await?;
    clock.set(time);
    Ok(())
}

/// Whether Redis itself said no, so that the command was certainly not carried out.
fn is_answer(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
}

/// Whether another attempt needs another connection, because this Redis does not take commands now.
fn is_elsewhere(error: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, MasterDown, ReadOnly};
    matches!(
        error.kind(),
        ErrorKind::Server(BusyLoading | MasterDown | ReadOnly)
    )
}

/// Whether Redis will go on refusing us until a person changes something.
pub(crate) fn is_refusal(error: &RedisError) -> bool {
    use ErrorKind::{AuthenticationFailed, InvalidClientConfig, RESP3NotSupported, Server};
    matches!(
        error.kind(),
        AuthenticationFailed | InvalidClientConfig | RESP3NotSupported | Server(ServerErrorKind::NoPerm)
    ) || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
        || error
            .detail()
            .is_some_and(|detail| detail.contains("DB index is out of range"))
}

/// Whether a command that failed like this can succeed if it is tried again later.
pub(crate) fn is_passing(error: &RedisError) -> bool {
    !is_answer(error) || is_elsewhere(error)
}

/// Whether this command of a failed pipeline was carried out all the same: Redis refused only others.
pub(crate) fn was_carried_out(error: &RedisError, command: usize) -> bool {
    let refused = error.clone().into_server_errors();
    refused.is_some_and(|refused| refused.iter().all(|(index, _)| *index != command))
}

/// Whether Redis refused this command of a failed pipeline because its memory is full.
pub(crate) fn had_no_memory(error: &RedisError, command: usize) -> bool {
    let refused = error.clone().into_server_errors();
    refused.is_some_and(|refused| {
        refused
            .iter()
            .any(|(index, why)| *index == command && why.code() == "OOM")
    })
}

/// What was wrong, without the text that was wrong.
fn reason(error: &RedisError) -> &str {
    error.detail().unwrap_or_else(|| error.category())
}

/// Growing pauses between attempts, each shortened at random so that many peers do not come back at once.
pub(crate) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST_PAUSE }
    }
}

impl Backoff {
    pub(crate) async fn pause(&mut self) {
        let pause = self.next.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        sleep(pause).await;
    }
}

/// The clock of Redis, read from ours by the distance last measured. A step of the local clock does not matter.
#[derive(Clone, Default)]
struct Clock {
    read: Arc<Mutex<Option<(Instant, i64)>>>,
}

impl Clock {
    fn set(&self, (seconds, microseconds): (i64, i64)) {
        let read = (Instant::now(), seconds * 1000 + microseconds / 1000);
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
    }

    fn now_ms(&self) -> i64 {
        let read = *self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.map_or_else(local_now_ms, |(at, redis_ms)| {
            redis_ms.saturating_add(milliseconds(at.elapsed()))
        })
    }
}

/// Good enough until the first connection, before which nothing is sent or received.
fn local_now_ms() -> i64 {
    milliseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// The duration in milliseconds, or as many as there can be.
pub(crate) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
