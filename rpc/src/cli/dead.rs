//! `rpc dead`: what was given up. A letter's id is a hash of its text, so it stays the same when others come and go.

use std::collections::HashSet;

use rpc::{DeadLetter, Inspector, Retried};
use serde_json::json;
use xxhash_rust::xxh3::xxh3_64;

use super::Options;
use super::failure::Failure;
use super::screen::Screen;

/// So many letters are held in memory at once; each may be as large as a request.
const PAGE: u64 = 16;

/// In a table a reason is cut to this, to keep a letter on one line.
const REASON: usize = 60;

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// List the last letters, the newest at the end
    List {
        /// The queue, which is the service's name
        queue: String,
        /// How many
        #[arg(short = 'n', long, default_value_t = 20)]
        limit: u64,
    },
    /// Show letters whole
    Show(Chosen),
    /// Put the requests in letters at the end of the queue again; nobody gets the reply
    Retry(Chosen),
    /// Remove letters for good
    Drop(Chosen),
}

#[derive(clap::Args)]
pub(crate) struct Chosen {
    /// The queue, which is the service's name
    queue: String,
    /// Ids from the list, or their first eight digits
    #[arg(value_name = "ID", required_unless_present = "all", value_parser = beginning)]
    ids: Vec<String>,
    /// All letters
    #[arg(long, conflicts_with = "ids")]
    all: bool,
}

pub(crate) async fn run(options: &Options, verb: &Verb, screen: &Screen) -> Result<(), Failure> {
    match verb {
        Verb::List { queue, limit } => list(&options.inspector(queue).await?, *limit, screen).await,
        Verb::Show(chosen) => {
            for_each(options, chosen, screen, "shown", async |_, letter| {
                show(letter, screen).map(|()| true)
            })
            .await
        }
        Verb::Retry(chosen) => {
            for_each(
                options,
                chosen,
                screen,
                "in the queue again",
                async |inspector, letter| {
                    match inspector.retry(letter).await? {
                        Retried::Queued => return Ok(true),
                        Retried::Gone => screen.note(&format!("{} is gone", id(letter))),
                        Retried::NoRequest => screen.note(&format!("{} is no request; it stays", id(letter))),
                    }
                    Ok(false)
                },
            )
            .await
        }
        Verb::Drop(chosen) => {
            for_each(options, chosen, screen, "dropped", async |inspector, letter| {
                Ok(inspector.drop_letter(letter).await?)
            })
            .await
        }
    }
}

async fn list(inspector: &Inspector, limit: u64, screen: &Screen) -> Result<(), Failure> {
    let there = inspector.overview().await?.dead_letters;
    let mut rows = Vec::new();
    let mut at = there.saturating_sub(limit);
    if at > 0 && !screen.json {
        screen.note(&format!("{at} older ones are not listed"));
    }
    while at < there {
        for letter in inspector.dead_letters(at, PAGE.min(there - at)).await? {
            if screen.json {
                screen.object(
                    &json!({"id": id(&letter), "at": when(&letter), "method": letter.method(),
                                      "bytes": letter.payload.len(), "reason": letter.reason}),
                )?;
                continue;
            }
            let reason: String = letter.reason.chars().take(REASON).collect();
            let method = letter.method().unwrap_or_else(|| "-".to_owned());
            rows.push([
                id(&letter),
                when(&letter),
                method,
                letter.payload.len().to_string(),
                reason,
            ]);
        }
        at += PAGE;
    }
    if screen.json {
        return Ok(());
    }
    if rows.is_empty() {
        screen.note("there are no dead letters");
        return Ok(());
    }
    screen.table(["ID", "WHEN", "METHOD", "BYTES", "REASON"], &rows)
}

fn show(letter: &DeadLetter, screen: &Screen) -> Result<(), Failure> {
    if screen.json {
        return screen.object(
            &json!({"id": id(letter), "at": when(letter), "method": letter.method(),
                                     "reason": letter.reason, "payload": letter.payload}),
        );
    }
    screen.line(&format!("{}, {}: {}", id(letter), when(letter), letter.reason))?;
    match letter.method() {
        Some(_) => screen.json_text(&letter.payload),
        None => screen.line(&letter.payload),
    }
}

/// Does something with each chosen letter, and says how many it was done with.
async fn for_each(
    options: &Options,
    chosen: &Chosen,
    screen: &Screen,
    done: &str,
    act: impl AsyncFn(&Inspector, &DeadLetter) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let inspector = options.inspector(&chosen.queue).await?;
    let mut missing: HashSet<&str> = chosen.ids.iter().map(String::as_str).collect();
    let mut count = 0_u64;
    // From the end, so that those taken out do not move the rest, and without those that come back meanwhile.
    let mut at = inspector.overview().await?.dead_letters;
    while at > 0 {
        let first = at.saturating_sub(PAGE);
        for letter in inspector.dead_letters(first, at - first).await? {
            let id = id(&letter);
            let named = chosen
                .ids
                .iter()
                .any(|beginning| id.starts_with(beginning.as_str()));
            missing.retain(|beginning| !id.starts_with(beginning));
            if (named || chosen.all) && act(&inspector, &letter).await? {
                count += 1;
                screen.progress(&format!("{count} {done}"));
            }
        }
        at = first;
    }
    screen.progress_over();
    screen.note(&format!("{count} {done}"));
    match missing.into_iter().min() {
        Some(id) => Err(Failure::NotThere(format!("there is no dead letter {id:?}"))),
        None => Ok(()),
    }
}

fn id(letter: &DeadLetter) -> String {
    format!("{:016x}", xxh3_64(letter.text().as_bytes()))
}

/// Short ones fit several letters, and an empty one, from a script's mistake, would fit all.
fn beginning(word: &str) -> Result<String, &'static str> {
    if (8..=16).contains(&word.len()) && word.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        Ok(word.to_ascii_lowercase())
    } else {
        Err("an id has 16 hexadecimal digits, of which at least 8 are needed")
    }
}

fn when(letter: &DeadLetter) -> String {
    jiff::Timestamp::try_from(letter.at).map_or_else(|_| "-".to_owned(), |at| format!("{at:.0}"))
}
