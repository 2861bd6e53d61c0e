//! What the layer lets through, and who may change it while it runs.
//!
//! Promises: the server can make the layer quieter than the user wants, never louder, and never without errors; a question
//! is asked once for each call-site and answer. Spans have a level of their own whatever that of events, so that an error
//! has its context.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tracing_core::callsite::rebuild_interest_cache;
use tracing_core::subscriber::Interest;
use tracing_core::{Level, LevelFilter, Metadata};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Filter};

/// What the layer lets through; shared by the layer, its guard and its shipper.
#[derive(Debug, Clone)]
pub struct Levels(Option<Arc<Wishes>>);

#[derive(Debug)]
struct Wishes {
    /// The mildest events of each target that the user wants.
    user: RwLock<Targets>,
    /// The mildest of them, and the mildest that the server wants, each as an index into [`FILTERS`].
    mildest: AtomicUsize,
    server: AtomicUsize,
    /// The mildest spans.
    spans: LevelFilter,
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
    pub(crate) fn new(events: Targets, spans: LevelFilter) -> Levels {
        Levels(Some(Arc::new(Wishes {
            mildest: AtomicUsize::new(mildest(&events)),
            user: RwLock::new(events),
            server: AtomicUsize::new(index(LevelFilter::TRACE)),
            spans,
        })))
    }

    /// Nothing at all, for good.
    pub(crate) const OFF: Levels = Levels(None);

    /// The user's wish.
    pub(crate) fn set_user(&self, events: Targets) {
        if let Some(wishes) = &self.0 {
            wishes.mildest.store(mildest(&events), Relaxed);
            *wishes.user.write().unwrap_or_else(PoisonError::into_inner) = events;
            // Call-sites remember whether anybody wants them.
            rebuild_interest_cache();
        }
    }

    /// The server's wish; none if it has none.
    pub(crate) fn set_server(&self, events: Option<Level>) {
        if let Some(wishes) = &self.0 {
            let wish = index(events.map_or(LevelFilter::TRACE, LevelFilter::from));
            if wishes.server.swap(wish, Relaxed) != wish {
                rebuild_interest_cache();
            }
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
            FILTERS[wishes.mildest.load(Relaxed).min(wishes.server.load(Relaxed))]
        })
    }

    /// Whether both sides want records of that level from there.
    pub(crate) fn admit_record(&self, metadata: &Metadata<'_>) -> bool {
        self.0.as_ref().is_some_and(|wishes| {
            *metadata.level() <= FILTERS[wishes.server.load(Relaxed)]
                && wishes.user().would_enable(metadata.target(), metadata.level())
        })
    }

    fn spans(&self) -> LevelFilter {
        self.0.as_ref().map_or(LevelFilter::OFF, |wishes| wishes.spans)
    }

    fn admit(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.is_span() {
            *metadata.level() <= self.spans()
        } else {
            self.admit_record(metadata)
        }
    }
}

impl Wishes {
    fn user(&self) -> RwLockReadGuard<'_, Targets> {
        self.user.read().unwrap_or_else(PoisonError::into_inner)
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

/// The same level for every target.
pub(crate) fn everywhere(level: LevelFilter) -> Targets {
    Targets::new().with_default(level)
}

/// The mildest level that is wanted from anywhere.
fn mildest(targets: &Targets) -> usize {
    let some = targets.iter().map(|(_, filter)| filter);
    let filter = some.chain(targets.default_level()).max();
    index(filter.unwrap_or(LevelFilter::OFF))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(user: LevelFilter, server: Option<Level>, expected: LevelFilter) {
        let levels = Levels::new(everywhere(LevelFilter::INFO), LevelFilter::INFO);
        levels.set_server(server);
        levels.set_user(everywhere(user));
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
        levels.set_user(everywhere(LevelFilter::TRACE));
        levels.set_server(None);
        assert_eq!(levels.events(), LevelFilter::OFF);
    }

    #[test]
    fn each_target_has_its_own_level_and_the_server_limits_them_all() {
        let logged = |levels: &Levels| {
            let admitted = |target: &'static str| {
                let of = |level: &Level| {
                    levels.0.as_ref().is_some_and(|wishes| {
                        *level <= levels.events() && wishes.user().would_enable(target, level)
                    })
                };
                [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG]
                    .iter()
                    .filter(|level| of(level))
                    .count()
            };
            [admitted("hyper::client"), admitted("iptv::db"), admitted("iptv")]
        };
        let targets = "info,hyper=off,iptv::db=debug".parse().unwrap();
        let levels = Levels::new(targets, LevelFilter::INFO);
        assert_eq!(levels.events(), LevelFilter::DEBUG);
        assert_eq!(logged(&levels), [0, 4, 3]);
        levels.set_server(Some(Level::WARN));
        assert_eq!(logged(&levels), [0, 2, 2]);
    }
}
