//! A channel that the shared connection listens to, as long as Redis allows it. What comes while nobody has the time
//! for it is dropped, so nothing may rely on it.

use tokio::sync::mpsc;

use super::Connection;

pub(crate) struct Subscription {
    pub(crate) channel: String,
    pub(crate) messages: mpsc::Sender<Vec<u8>>,
}

impl Subscription {
    pub(super) async fn start(&self, mut connection: Connection) {
        if let Err(error) = connection.subscribe(&self.channel).await {
            tracing::debug!(%error, "Redis allows no subscription");
        }
    }

    pub(super) fn pass_on(&self, push: &redis::PushInfo) {
        if push.kind == redis::PushKind::Message
            && let [_, redis::Value::BulkString(message)] = &*push.data
        {
            // Nobody relies on it.
            let _ = self.messages.try_send(message.clone());
        }
    }
}
