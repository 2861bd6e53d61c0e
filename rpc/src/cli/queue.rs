//! `rpc queue`: how a queue stands.

use serde_json::json;

use super::Options;
use super::failure::Failure;
use super::screen::Screen;
use super::servers::Queue;

pub(crate) async fn run(options: &Options, Queue { queue }: &Queue, screen: &Screen) -> Result<(), Failure> {
    let overview = options.inspector(queue).await?.overview().await?;
    let alive = overview.servers.iter().filter(|server| server.alive).count();
    if screen.json {
        let servers: Vec<_> = overview
            .servers
            .iter()
            .map(|server| json!({"id": server.id, "alive": server.alive, "version": server.version, "taken": server.taken}))
            .collect();
        return screen.object(&json!({
            "queue": queue,
            "waiting": overview.waiting,
            "oldest_ms": overview.oldest.map(|oldest| u64::try_from(oldest.as_millis()).unwrap_or(u64::MAX)),
            "taken": overview.taken(),
            "alive": alive,
            "servers": servers,
            "dead_letters": overview.dead_letters,
        }));
    }
    let oldest = overview
        .oldest
        .map_or_else(String::new, |oldest| format!(", the first for {oldest:.1?}"));
    screen.line(&format!("waiting       {}{oldest}", overview.waiting))?;
    screen.line(&format!("taken         {}", overview.taken()))?;
    screen.line(&format!("dead letters  {}", overview.dead_letters))?;
    screen.line(&format!(
        "servers       {alive} alive, {} dead",
        overview.servers.len() - alive
    ))?;
    if overview.servers.is_empty() {
        screen.note("servers of another kind, as Python's, do not show themselves");
        return Ok(());
    }
    screen.line("")?;
    let rows: Vec<_> = overview
        .servers
        .into_iter()
        .map(|server| {
            let state = if server.alive { "alive" } else { "dead" };
            let version = server.version.unwrap_or_else(|| "-".to_owned());
            [server.id, state.to_owned(), version, server.taken.to_string()]
        })
        .collect();
    screen.table(["SERVER", "STATE", "VERSION", "TAKEN"], &rows)
}
