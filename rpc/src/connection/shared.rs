//! The connection that all short commands of a client or server share, and the task that replaces it whenever it
//! breaks: for ever, and with jittered pauses. A command is never repeated here.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::FromRedisValue;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::clock::Clock;
use super::failure::{Failed, is_passing, is_refusal};
use super::subscription::Subscription;
use super::{Backoff, Connection, Endpoint, Pipeline, REFUSALS, RedisError, RedisResult, pipe};
use crate::Error;

/// A connection that lived this long was a good one, so the next one is tried at once again.
const PROVEN: Duration = Duration::from_secs(5);

/// How often the shared connection is probed, and our idea of the clock of Redis renewed.
const PROBE: Duration = Duration::from_secs(60);

/// The one connection that all short commands of a client or server share, replaced whenever it breaks.
#[derive(Clone)]
pub(crate) struct Shared {
    state: watch::Receiver<State>,
    /// Connections up to this number are broken.
    broken: Arc<watch::Sender<u64>>,
    clock: Clock,
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
        if let Some(live) = self.live_now() {
            return Ok(live);
        }
        let mut state = self.state.clone();
        let usable = |state: &State| matches!(state, State::Up(live) if live.number > *self.broken.borrow());
        match &*state.wait_for(usable).await.map_err(|_| Error::Closed)? {
            State::Up(live) => Ok(live.clone()),
            State::Down { .. } => unreachable!("waited for a connection that is up"),
        }
    }

    /// Whether there is a connection.
    pub(crate) fn is_live(&self) -> bool {
        matches!(&*self.state.borrow(), State::Up(live) if live.number > *self.broken.borrow())
    }

    /// The connection, if there is one.
    pub(crate) fn live_now(&self) -> Option<Live> {
        match &*self.state.borrow() {
            State::Up(live) if live.number > *self.broken.borrow() => Some(live.clone()),
            State::Up(_) | State::Down { .. } => None,
        }
    }

    /// Runs the commands once, as soon as there is a connection.
    ///
    /// # Errors
    ///
    /// [`Error::Transport`], or [`Error::Closed`] when the runtime ends.
    pub(crate) async fn run<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, Error> {
        let live = self.live().await?;
        Ok(self.run_on(live, commands).await?)
    }

    /// Runs the commands once, on this connection.
    pub(crate) async fn run_on<T: FromRedisValue>(
        &self,
        mut live: Live,
        commands: &Pipeline,
    ) -> Result<T, Failed> {
        let outcome = commands.query_async(&mut live.connection).await;
        outcome.map_err(|source| {
            self.report(live.number, &source);
            Failed::new(source)
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
