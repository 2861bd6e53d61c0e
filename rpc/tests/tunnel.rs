//! A way to Redis that can fall silent: what is open then stays open, and nothing comes through any more.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Tunnel {
    pub(crate) url: String,
    /// How often the way has fallen silent. Connections made since then work.
    silences: watch::Sender<u32>,
}

impl Tunnel {
    pub(crate) async fn open(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let (silences, fallen) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let redis = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(pass_on(client, redis, fallen.clone()));
            }
        });
        Self { url, silences }
    }

    pub(crate) fn silence(&mut self) {
        self.silences.send_modify(|silences| *silences += 1);
    }
}

async fn pass_on(mut client: TcpStream, mut redis: TcpStream, mut fallen: watch::Receiver<u32>) {
    fallen.mark_unchanged();
    let silent = tokio::select! {
        _ = copy_bidirectional(&mut client, &mut redis) => false,
        changed = fallen.changed() => changed.is_ok(),
    };
    if silent {
        // Both ends stay open until the test is over.
        std::future::pending::<()>().await;
    }
}
