//! `rpc gc`: removes what others left behind.

use std::time::Duration;

use rpc::Sweep;
use serde_json::json;

use super::failure::Failure;
use super::screen::Screen;
use super::{Options, words};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The queue, which is the service's name
    queue: String,
    /// How long nobody must have touched a reply
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = words::duration)]
    idle: Duration,
    /// Only look and count
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(options: &Options, arguments: &Arguments, screen: &Screen) -> Result<(), Failure> {
    let inspector = options.inspector(&arguments.queue).await?;
    let sweep = Sweep {
        idle: arguments.idle,
        dry: arguments.dry_run,
    };
    let swept = inspector
        .sweep(sweep, |keys| {
            screen.progress(&format!("looked at about {keys} keys"))
        })
        .await?;
    screen.progress_over();
    if screen.json {
        return screen.object(
            &json!({"dry": sweep.dry, "replies": swept.replies, "requests": swept.requests,
                                     "servers": swept.servers}),
        );
    }
    let would = if sweep.dry { "would be " } else { "" };
    screen.line(&format!(
        "{} replies that nobody fetched {would}removed",
        swept.replies
    ))?;
    screen.line(&format!(
        "{} requests of dead servers {would}put back into the queue",
        swept.requests
    ))?;
    screen.line(&format!("{} dead servers {would}forgotten", swept.servers))
}
