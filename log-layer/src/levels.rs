//! What the layer lets through, and who may change it while it runs.
//!
//! Promises: the server can make the layer quieter than the user wants, never louder, and never without errors; a question
//! costs two loads. Spans are let through from `INFO` up whatever the level of events, so that an error has its context.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tracing_core::callsite::rebuild_interest_cache;
use tracing_core::subscriber::Interest;
use tracing_core::{Level, LevelFilter, Metadata};
use tracing_subscriber::layer::{Context, Filter};

const SPANS: LevelFilter = LevelFilter::INFO;

/// What the layer lets through; shared by the layer, its guard and its shipper.
#[derive(Debug, Clone)]
pub struct Levels(Option<Arc<Wishes>>);

/// The mildest level of events that each side wants, as an index into [`FILTERS`].
#[derive(Debug)]
struct Wishes {
    user: AtomicUsize,
    server: AtomicUsize,
}

/// Every filter, quietest first, because an atomic holds a number.
const FILTERS: [LevelFilter; 6] = [
    LevelFilter::OFF,
    LevelFilter::ERROR,
    LevelFilter::WARN,
    LevelFilter::INFO,
    LevelFilter::DEBUG,
    LevelFilter::TRACE,
];

impl Levels {
    pub(crate) fn from_events(events: LevelFilter) -> Levels {
        Levels(Some(Arc::new(Wishes {
            user: AtomicUsize::new(index(events)),
            server: AtomicUsize::new(index(LevelFilter::TRACE)),
        })))
    }

    /// Nothing at all, for good.
    pub(crate) const OFF: Levels = Levels(None);

    /// The user's wish.
    pub(crate) fn set_user(&self, events: LevelFilter) {
        if let Some(wishes) = &self.0 {
            change(&wishes.user, events);
        }
    }

    /// The server's wish; none if it has none.
    pub(crate) fn set_server(&self, events: Option<Level>) {
        if let Some(wishes) = &self.0 {
            change(
                &wishes.server,
                events.map_or(LevelFilter::TRACE, LevelFilter::from),
            );
        }
    }

    /// Whether the server has a wish.
    pub(crate) fn has_server(&self) -> bool {
        let wishes = self.0.as_ref();
        wishes.is_some_and(|wishes| wishes.server.load(Relaxed) != index(LevelFilter::TRACE))
    }

    /// The mildest events that both sides want.
    pub(crate) fn events(&self) -> LevelFilter {
        self.0.as_ref().map_or(LevelFilter::OFF, |wishes| {
            FILTERS[wishes.user.load(Relaxed).min(wishes.server.load(Relaxed))]
        })
    }

    fn spans(&self) -> LevelFilter {
        self.0.as_ref().map_or(LevelFilter::OFF, |_| SPANS)
    }

    fn admit(&self, metadata: &Metadata<'_>) -> bool {
        let limit = if metadata.is_span() {
            self.spans()
        } else {
            self.events()
        };
        *metadata.level() <= limit
    }
}

impl<S> Filter<S> for Levels {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.admit(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.admit(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.events().max(self.spans()))
    }
}

fn index(filter: LevelFilter) -> usize {
    let known = FILTERS.iter().position(|known| *known == filter);
    known.expect("the list has every filter")
}

fn change(wish: &AtomicUsize, filter: LevelFilter) {
    let before = wish.swap(index(filter), Relaxed);
    if before != index(filter) {
        // Call-sites remember whether anybody wants them.
        rebuild_interest_cache();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(user: LevelFilter, server: Option<Level>, expected: LevelFilter) {
        let levels = Levels::from_events(LevelFilter::INFO);
        levels.set_server(server);
        levels.set_user(user);
        assert_eq!(levels.events(), expected, "{user} {server:?}");
        assert_eq!(
            levels.has_server(),
            server.is_some_and(|level| level < Level::TRACE)
        );
    }

    #[test]
    fn the_quieter_of_the_two_wishes_holds() {
        check(LevelFilter::DEBUG, None, LevelFilter::DEBUG);
        check(LevelFilter::DEBUG, Some(Level::WARN), LevelFilter::WARN);
        check(LevelFilter::WARN, Some(Level::TRACE), LevelFilter::WARN);
        check(LevelFilter::OFF, Some(Level::ERROR), LevelFilter::OFF);
        check(LevelFilter::TRACE, Some(Level::ERROR), LevelFilter::ERROR);
    }

    #[test]
    fn what_is_off_stays_off() {
        let levels = Levels::OFF;
        levels.set_user(LevelFilter::TRACE);
        levels.set_server(None);
        assert_eq!(levels.events(), LevelFilter::OFF);
    }
}
