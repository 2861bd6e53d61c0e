//! What was changed on the way: a record that is not stored exactly as it was sent says so.

use std::fmt;

/// One kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Flag {
    /// Text was cut to fit the record limit.
    Truncated = 1,
    /// A lone UTF-16 surrogate became U+FFFD.
    Surrogate = 1 << 1,
    /// A number beyond 64 bits is kept as text.
    BigNumber = 1 << 2,
    /// Fields beyond the limit were left out.
    FieldsDropped = 1 << 3,
    /// A field name was cut.
    NameTruncated = 1 << 4,
    /// A value nested too deep is kept as JSON text.
    Nested = 1 << 5,
    /// A field came twice; the last one is kept.
    DuplicateField = 1 << 6,
    /// The time was missing its meaning; the arrival time is used, and the text kept as field `ts`.
    TimeRepaired = 1 << 7,
    /// The time is more than a day ahead of its arrival or ten years behind.
    TimeSuspect = 1 << 8,
    /// The level was unknown; `info` is used, and the text kept as field `level`.
    LevelUnknown = 1 << 9,
    /// It was never sent: the server tells by it of records that are lost.
    Lost = 1 << 10,
}

impl Flag {
    const ALL: [(Flag, &'static str); 11] = [
        (Flag::Truncated, "truncated"),
        (Flag::Surrogate, "surrogate"),
        (Flag::BigNumber, "big_number"),
        (Flag::FieldsDropped, "fields_dropped"),
        (Flag::NameTruncated, "name_truncated"),
        (Flag::Nested, "nested"),
        (Flag::DuplicateField, "duplicate_field"),
        (Flag::TimeRepaired, "time_repaired"),
        (Flag::TimeSuspect, "time_suspect"),
        (Flag::LevelUnknown, "level_unknown"),
        (Flag::Lost, "lost"),
    ];
}

/// A set of [`Flag`]s.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Flags(u16);

impl Flags {
    /// Adds `flag`.
    pub fn set(&mut self, flag: Flag) {
        self.0 |= flag as u16;
    }

    /// Whether `flag` is in the set.
    pub fn has(self, flag: Flag) -> bool {
        self.0 & flag as u16 != 0
    }

    /// Whether nothing was changed.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names, in declaration order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Flag::ALL
            .iter()
            .filter(move |(flag, _)| self.has(*flag))
            .map(|(_, name)| *name)
    }

    /// Adds the flag of that name; a name from a newer sender is left out.
    pub fn set_named(&mut self, name: &str) {
        if let Some((flag, _)) = Flag::ALL.iter().find(|(_, known)| *known == name) {
            self.set(*flag);
        }
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
