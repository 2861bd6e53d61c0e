//! The names in a record, and which of them is likely to come next.

/// A name in a record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Name {
    Seq,
    Ts,
    Callsite,
    Message,
    Fields,
    Spans,
    TraceId,
    SpanId,
    Thread,
    Flags,
    Level,
    Target,
    File,
    Line,
}

impl Name {
    /// All names as they stand in JSON, in the order of the declaration.
    const ALL: [(Name, &'static str); 14] = [
        (Name::Seq, "\"seq\""),
        (Name::Ts, "\"ts\""),
        (Name::Callsite, "\"callsite\""),
        (Name::Message, "\"message\""),
        (Name::Fields, "\"fields\""),
        (Name::Spans, "\"spans\""),
        (Name::TraceId, "\"trace_id\""),
        (Name::SpanId, "\"span_id\""),
        (Name::Thread, "\"thread\""),
        (Name::Flags, "\"flags\""),
        (Name::Level, "\"level\""),
        (Name::Target, "\"target\""),
        (Name::File, "\"file\""),
        (Name::Line, "\"line\""),
    ];

    /// The name that consists of these characters.
    pub(super) fn of(characters: &str) -> Option<Name> {
        let same =
            |(name, quoted): &(Name, &str)| (quoted[1..quoted.len() - 1] == *characters).then_some(*name);
        Name::ALL.iter().find_map(same)
    }

    /// As it stands in JSON, with its quotes.
    #[inline]
    pub(super) fn quoted(self) -> &'static str {
        Name::ALL[self as usize].1
    }
}

/// Which name came after which one lately: the records of a sender look alike, and comparing with what is expected
/// costs less than finding out what it is.
pub(super) struct Habit {
    /// The first name of a record, then the follower of each name.
    followers: [Name; Name::ALL.len() + 1],
}

impl Habit {
    pub(super) fn new() -> Habit {
        Habit {
            followers: [Name::Seq; Name::ALL.len() + 1],
        }
    }

    /// What is expected after `name`, or at the beginning.
    #[inline]
    pub(super) fn after(&self, name: Option<Name>) -> Name {
        self.followers[Habit::index(name)]
    }

    /// `follower` came after `name`, or at the beginning.
    pub(super) fn learn(&mut self, name: Option<Name>, follower: Name) {
        self.followers[Habit::index(name)] = follower;
    }

    #[inline]
    fn index(name: Option<Name>) -> usize {
        name.map_or(0, |name| 1 + name as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbered_in_their_order_and_found_by_their_characters() {
        for (number, (name, quoted)) in Name::ALL.into_iter().enumerate() {
            assert_eq!((name as usize, name.quoted()), (number, quoted));
            assert_eq!(Name::of(quoted.trim_matches('"')), Some(name));
        }
        assert_eq!(Name::of("Seq"), None);
        assert_eq!(Name::of(""), None);
    }

    #[test]
    fn a_habit_is_what_came_last() {
        let mut habit = Habit::new();
        habit.learn(None, Name::Level);
        habit.learn(Some(Name::Level), Name::Message);
        habit.learn(Some(Name::Level), Name::Fields);
        assert_eq!(habit.after(None), Name::Level);
        assert_eq!(habit.after(Some(Name::Level)), Name::Fields);
    }
}
