//! The batch's call-sites: its dictionary, and those that short records bring themselves.

use std::sync::Arc;

use super::{Part, Reader, Seen};
use crate::callsite::{CallSite, Kind};
use crate::flags::Flags;
use crate::json::Stop;
use crate::level::Level;

/// The call-sites of a batch.
#[derive(Default)]
pub(super) struct CallSites {
    /// The dictionary's first, then those of short records.
    known: Vec<Arc<CallSite>>,
    /// The length of the dictionary.
    dictionary: usize,
}

impl CallSites {
    /// The dictionary's entry of that number.
    #[inline]
    pub(super) fn numbered(&self, number: usize) -> Result<Arc<CallSite>, Stop> {
        match self.known[..self.dictionary].get(number) {
            Some(callsite) => Ok(callsite.clone()),
            None => Err(Stop::shape(
                format!("call-site {number} is not among the batch's {}", self.dictionary),
                None,
            )),
        }
    }

    /// The call-site of a short record: the same one as before if it is known.
    pub(super) fn described(
        &mut self,
        target: &str,
        file: Option<&str>,
        line: Option<u32>,
        level: Level,
    ) -> Arc<CallSite> {
        // Only a few recent ones are compared: a long list of distinct ones must not make a batch quadratic.
        const RECENT: usize = 16;
        let recent = self.known[self.dictionary..].iter().rev().take(RECENT);
        let same = |known: &&Arc<CallSite>| {
            known.level == level
                && known.line == line
                && *known.target == *target
                && known.file.as_deref() == file
        };
        if let Some(known) = recent.into_iter().find(same) {
            return known.clone();
        }
        let callsite = Arc::new(CallSite {
            target: target.into(),
            file: file.map(Into::into),
            line,
            level,
            kind: Kind::Event,
        });
        self.known.push(callsite.clone());
        callsite
    }
}

impl Reader<'_> {
    /// The dictionary.
    pub(super) fn callsites(&mut self) -> Result<CallSites, Stop> {
        let mut known = Vec::new();
        if self.json.null()? {
            return Ok(CallSites::default());
        }
        self.expect(b'[', "`callsites` is not a list")?;
        let mut more = self.json.first_item()?;
        while more {
            known.push(Arc::new(self.callsite()?));
            more = self.json.next_item()?;
        }
        Ok(CallSites {
            dictionary: known.len(),
            known,
        })
    }

    fn callsite(&mut self) -> Result<CallSite, Stop> {
        self.expect(b'{', "a call-site is not an object")?;
        let start = self.json.place();
        let (mut target, mut file, mut line, mut level, mut kind) = (None, None, None, None, None);
        let mut seen = Seen::default();
        let mut next = self.json.first_name()?;
        while let Some(name) = next {
            let name = self.exact(name)?;
            let place = self.json.place();
            match &*name {
                "target" => {
                    seen.once(0, &name, place)?;
                    target = self.optional_part()?;
                }
                "file" => {
                    seen.once(1, &name, place)?;
                    file = self.optional_part()?;
                }
                "line" => {
                    seen.once(2, &name, place)?;
                    line = self.line()?;
                }
                "level" => {
                    seen.once(3, &name, place)?;
                    level = Some(self.word("`level` is not a word")?);
                }
                "kind" => {
                    seen.once(4, &name, place)?;
                    kind = if self.json.null()? {
                        None
                    } else {
                        Some(self.word("`kind` is not a word")?)
                    };
                }
                // Unknown keys are kept out but never rejected.
                _ => {
                    self.json.skip()?;
                }
            }
            next = self.json.next_name()?;
        }
        let level = level.ok_or_else(|| Stop::shape("missing field `level`", start))?;
        // A call-site's names come from a compiler; a longer one is an attack or a mistake, and nothing to flag.
        let name = |part: Part<'_>| Arc::from(part.label(&mut Flags::default()));
        Ok(CallSite {
            target: target.map(name).unwrap_or_default(),
            file: file.map(name),
            line,
            level: level.parse().unwrap_or_default(),
            kind: if kind.as_deref() == Some("span") {
                Kind::Span
            } else {
                Kind::Event
            },
        })
    }

    /// A line in a source file.
    pub(super) fn line(&mut self) -> Result<Option<u32>, Stop> {
        self.optional_number("`line` is not the number of a line", |number| {
            number.as_u64().and_then(|line| u32::try_from(line).ok())
        })
    }
}
