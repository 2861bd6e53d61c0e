//! `iptv`: channels, their programme, and tickets to watch one. An RPC server on queue `iptv`.

use std::time::{Duration, Instant};

use examples::catalog::{self, Channel, Programme};
use rpc::{Fault, Server};
use serde::{Deserialize, Serialize};
use tracing::{debug, error, info, instrument, warn};

#[derive(Deserialize)]
struct Listing {
    category: Option<String>,
}

#[derive(Deserialize)]
struct Guide {
    channel: String,
}

#[derive(Deserialize)]
struct Order {
    channel: String,
    user_id: u64,
    #[serde(default = "usual_quality")]
    quality: u32,
}

#[derive(Serialize)]
struct Ticket {
    channel: String,
    url: String,
    valid_seconds: u32,
}

fn usual_quality() -> u32 {
    1080
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _logs = examples::log("iptv");
    let stop = examples::stop_signal()?;
    let server = Server::builder("iptv")
        .redis(examples::redis_url())
        .on_start(async || {
            info!(channels = catalog::channels(None).len(), "catalogue loaded");
            Ok::<_, std::io::Error>(())
        })
        .method("channels", channels)
        .method("programme", programme)
        .method("ticket", ticket)
        .build()?;
    let report = server.run(stop).await?;
    info!(handled = report.handled, failed = report.failed, "stopped");
    Ok(())
}

async fn channels(listing: Listing) -> Result<Vec<Channel>, Fault> {
    let found = catalog::channels(listing.category.as_deref());
    debug!(
        category = listing.category.as_deref().unwrap_or("all"),
        found = found.len(),
        "channels listed"
    );
    Ok(found)
}

/// The guide comes from an upstream that is slow now and then.
#[instrument(name = "epg", skip_all, fields(channel = guide.channel))]
async fn programme(guide: Guide) -> Result<Vec<Programme>, Fault> {
    let channel = known(&guide.channel)?;
    let started = Instant::now();
    let slow = fastrand::u32(..20) == 0;
    tokio::time::sleep(Duration::from_millis(fastrand::u64(if slow {
        800..1_500
    } else {
        1..15
    })))
    .await;
    let latency_ms = started.elapsed().as_secs_f64() * 1e3;
    if slow {
        warn!(latency_ms, upstream = "epg-7", "the programme guide was slow");
    } else {
        info!(latency_ms, "programme guide fetched");
    }
    Ok(catalog::programme(&channel))
}

#[instrument(name = "ticket", skip_all, fields(channel = order.channel, user_id = order.user_id))]
async fn ticket(order: Order) -> Result<Ticket, Fault> {
    let channel = known(&order.channel)?;
    let bitrate = bitrate(order.quality);
    let key = format!("{:016x}", fastrand::u64(..));
    info!(bitrate, quality = order.quality, "channel opened");
    Ok(Ticket {
        url: format!("https://cdn.example/{}/{key}.m3u8", channel.id),
        channel: channel.name,
        valid_seconds: 300,
    })
}

/// Kilobits per second. Nobody thought of other qualities, which is how panics happen.
fn bitrate(quality: u32) -> u32 {
    const KNOWN: [(u32, u32); 3] = [(480, 1_500), (720, 3_000), (1080, 6_000)];
    let Some((_, bitrate)) = KNOWN.iter().find(|(known, _)| *known == quality) else {
        error!(quality, "no bitrate is configured for this quality");
        panic!("no bitrate for quality {quality}");
    };
    *bitrate
}

/// Application fault 201: there is no such channel.
fn known(id: &str) -> Result<Channel, Fault> {
    catalog::channel(id).ok_or_else(|| {
        warn!(channel = id, "unknown channel");
        Fault::app(201, format!("there is no channel {id}"))
    })
}
