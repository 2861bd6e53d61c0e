//! Which Redis the queue lives in: the one that was named, one that answers where Redis usually does, or a private one
//! that this server starts and supervises.

mod child;

use std::path::Path;
use std::time::Duration;

use crate::config::Redis;
use child::Child;

/// Where Redis usually answers.
const USUAL: &str = "127.0.0.1:6379";
const USUAL_PORT: u16 = 6379;
/// A Redis on this machine answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(1);

/// A Redis that can be used.
pub(crate) struct Broker {
    url: String,
    kind: Kind,
}

enum Kind {
    Named,
    Found,
    Private(Box<Child>),
}

/// Why there is no Redis.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokerError {
    /// One answers, but not to us.
    #[error(
        "the Redis on {USUAL} asks for a password; name it: --redis redis://:PASSWORD@{USUAL} (or LOG_SERVER_REDIS, \
         which other users of this machine cannot see)"
    )]
    Password,
    /// None answers and none can be started.
    #[error(
        "no Redis answers on {USUAL}, and neither redis-server nor valkey-server is on the PATH.\n\
         Install one (apt install redis-server · brew install redis · dnf install valkey), or name one that runs: \
         --redis redis://HOST:6379"
    )]
    None,
    /// The private one did not come up.
    #[error("the private Redis did not start: {0}")]
    Child(String),
}

impl Broker {
    /// Finds or starts one; `data` is where a private one keeps its files.
    ///
    /// # Errors
    /// [`BrokerError`], worded for who starts the server.
    pub(crate) async fn find(redis: &Redis, data: &Path) -> Result<Broker, BrokerError> {
        let usual = format!("redis://{USUAL}");
        let found = match redis {
            Redis::Url(url) => {
                return Ok(Broker {
                    url: url.clone(),
                    kind: Kind::Named,
                });
            }
            Redis::Auto => ping(&usual).await,
            Redis::Private => Ping::Silent,
        };
        // A private one from an earlier run may be what answers there; it is ours to supervise.
        if let Some(child) = Child::adopt(data).await {
            return Ok(Broker {
                url: child.url(),
                kind: Kind::Private(Box::new(child)),
            });
        }
        match found {
            Ping::Answers => Ok(Broker {
                url: usual,
                kind: Kind::Found,
            }),
            Ping::WantsPassword => Err(BrokerError::Password),
            Ping::Silent => {
                // Services that name no address look at the usual port; somebody who wants a private one does not.
                let port = if *redis == Redis::Auto { USUAL_PORT } else { 0 };
                let child = Child::start(data, port).await?;
                Ok(Broker {
                    url: child.url(),
                    kind: Kind::Private(Box::new(child)),
                })
            }
        }
    }

    /// Its address, for this server and for the services. May carry a password.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How it came about, for people.
    pub(crate) fn origin(&self) -> &'static str {
        match self.kind {
            Kind::Named => "as configured",
            Kind::Found => "found running",
            Kind::Private(_) => "private, started by this server",
        }
    }

    /// Keeps a private one running until dropped; pending for ever otherwise.
    pub(crate) async fn supervise(&mut self) {
        match &mut self.kind {
            Kind::Private(child) => child.supervise().await,
            Kind::Named | Kind::Found => std::future::pending().await,
        }
    }

    /// Stops a private one in order, so that nothing in its queue is lost.
    pub(crate) async fn stop(self) {
        if let Kind::Private(child) = self.kind {
            child.stop().await;
        }
    }
}

enum Ping {
    Answers,
    WantsPassword,
    Silent,
}

async fn ping(url: &str) -> Ping {
    let asked = tokio::time::timeout(PATIENCE, async {
        let client = redis::Client::open(url)?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd("PING").query_async::<String>(&mut connection).await
    });
    match asked.await {
        Ok(Ok(_)) => Ping::Answers,
        Ok(Err(error)) if matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM")) => {
            Ping::WantsPassword
        }
        Ok(Err(_)) | Err(_) => Ping::Silent,
    }
}
