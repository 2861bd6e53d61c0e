//! The query language: what a person types into the search box, and which records it finds.
//!
//! [`read`] never says no: what does not parse is searched as plain text, and the [`Reading`] says so. A [`Query`]
//! displays in its canonical form, which parses to the same query again. The module is pure: it knows no I/O, no
//! SQL, no HTTP, and nothing of how records are stored.
//!
//! ```
//! use log_engine::query;
//!
//! let query = query::parse("level:(error OR warn) path:/live*  -user_id:*")?;
//! assert_eq!(query.to_string(), r#"(level:error OR level:warn) path:"/live"* -user_id:*"#);
//! assert!(query::read("(half a query").as_text);
//! # Ok::<(), query::ParseError>(())
//! ```
//!
//! # The language
//!
//! [`TABLE`] shows it by example. The grammar, with spaces between terms, never inside a field's term:
//!
//! ```text
//! query       = [ either ] { "|" step }               nothing at all finds everything
//! either      = both { "OR" both }
//! both        = unary { [ "AND" ] unary }             AND binds tighter than OR, NOT tighter than AND
//! unary       = { "NOT" | "-" } term
//! term        = "(" either ")" | field | regex | phrase | word
//! field       = name ( ":" value | comparison )
//! value       = "(" values ")" | regex | comparison | range | "*" | pattern
//! values      = either, with values for terms
//! comparison  = ( ">" | ">=" | "<" | "<=" ) operand
//! range       = [ operand ] ".." [ operand ]          both ends belong to it; one may be missing
//! operand     = a number as JSON writes it, or a level
//! pattern     = { character | phrase | "*" | "\*" | "\"" }
//! phrase      = '"' { character | "\"" | "\\" } '"'
//! regex       = "/" { character | "\/" } "/"
//! name        = phrase | ( letter | "_" | "@" | "$" ) { letter | digit | "_" | "." | "-" }
//!
//! step        = table                                 only as the first step
//!             | "sort" [ "by" ] key { "," key } | "limit" count | "fields" heading { "," heading }
//! table       = "count" [ by ] | "top" [ count ] name { "," name }
//!             | "stats" aggregates [ by ] | "timechart" span [ aggregates ] [ by ]
//! by          = "by" name { "," name }
//! aggregates  = aggregate { "," aggregate }
//! aggregate   = "count" | function name | function "(" name ")"
//! function    = "sum" | "avg" | "min" | "max" | "distinct" | "p1" … "p99.9"
//! key         = heading [ "asc" | "desc" ]
//! heading     = name | aggregate                      a column of the table; of records, any name
//! span        = digits ( "ms" | "s" | "m" | "h" | "d" | "w" )
//! ```
//!
//! - **Words and phrases** are searched as substrings of any one text of the record: the message, the values of its
//!   fields (numbers, booleans and null as JSON writes them; of lists and maps each value on its own), span names
//!   and the values of span fields, service, instance, host, version, target, file, thread, trace and span id. Not
//!   field names, not the level. `*` alone finds everything; `*` around a word changes nothing and is dropped;
//!   inside a word it is a star, for a pattern names its field.
//! - **Fields** are equal to the value as a whole, as number, boolean or text: `user_id:42` finds 42, 42.0 and
//!   `"42"`. The message alone is searched for the value instead. `*` in a pattern stands for any text, in quotes for
//!   itself: `path:*"live page"*`. Of a list, one item is enough. `field:*` is presence; `null` is present. A value
//!   may begin with `-`, except in the parentheses of `field:( … )`, where that negates.
//! - **Numbers** compare exactly where both are integers, otherwise as 64-bit floats. Text that is a number as JSON
//!   writes it compares as that number, because many loggers turn numbers into text.
//! - **Regular expressions** have the syntax of the `regex` crate, ignore case unless they say `(?-i)`, match
//!   anywhere unless they say `^` or `$`, and see a number as JSON writes it. Without a field: the message.
//! - **Names.** `level`, `message`, `service`, `instance`, `host`, `version`, `boot`, `target`, `file`, `line`,
//!   `thread`, `trace_id` (or `trace`), `span_id`, `seq`, `flags`, `callsite` (`file` or `file:line`; the directories
//!   in front may be left out), `spans` (their names), `span.x` (field `x` of any span), `attrs.x` (an attribute of
//!   the process). Every other name is a field of the record; `fields.x` is the record's field `x` even where `x` is
//!   one of the names above. `a.b` is a field of that name as well as `b` inside of `a`.
//! - **Case** never matters, in names neither: everything is compared after [`fold()`], which is Unicode's simple case
//!   folding. Composed and decomposed accents differ. `AND`, `OR` and `NOT` are operators in capitals only.
//!
//! # Pipelines
//!
//! - **Where one begins.** At a `|` that begins a term outside of parentheses and has one of the verbs behind it, as a
//!   word of its own, in any case: `a | b`, `a|count` and `"| count"` are text. What begins as a pipeline and then is
//!   none (`ps aux | sort -n`) does not parse, and so is searched as the text it is.
//! - **Tables** have a row for each combination of the values behind `by`; a record without the value belongs to the
//!   group without one, a record with several (a list, nested spans) to several groups. Rows begin with the greatest
//!   first aggregate, those of `timechart` with the oldest span; spans without records have no row. `top 5 x` is
//!   `count by x | limit 5`.
//! - **Aggregates** are written as they are shown: `| stats count, p95 latency_ms by path | sort p95 latency_ms desc`.
//!   All but `count` and `distinct` see numbers, and texts that are numbers; `min` and `max` of `time` are moments.
//!   Sums of integers are exact. A percentile is a value that occurred (the nearest rank); beyond 256 values it is
//!   one within 1 % of it. `distinct` is exact up to 1,024 values and beyond that within 5 %, nearly always.
//! - **Names** are those of the filter, and `time`. One of the pipeline's own words as a field's name stands in quotes.
//! - **`sort`** puts numbers by size before texts, and what has no value last, in both directions. On records it looks
//!   at everything that matches, not only at the newest.
//!
//! # What is text although it looks like syntax
//!
//! People paste. A term is read as a field only if it can hardly be anything else, and otherwise stays text:
//!
//! - A name begins with a letter, so `12:30:05` and `10.0.0.1:80` are text. So is `main.rs:` (nothing behind the
//!   colon), `std::io` (two colons), `http://host/x` (two slashes) and `C:\x` or `C:/x` (a drive). Names that need
//!   other characters are quoted: `"odd name":x`. What still looks like a field, `localhost:80`, needs quotes to be text.
//! - `<` and `>` compare only before a number (or, after `level`, a letter): `Vec<u8>` and `a->b` are text.
//! - `-` negates only before a letter, a digit or one of `_ " ( / * @ $`: `->`, `--verbose` and a lone `-` are text,
//!   and so is the dash in `a-b`.
//! - `/` begins a regular expression only if the next unescaped `/` ends the term: `/var/log` is text.
//! - Inside a word, quotes and balanced parentheses belong to it, spaces in the quotes too: `main()`,
//!   `error="connection reset"` and `{"a":"b c"}` are words. `key=value`, `a@b.c`, `\\host\x` are words anyway.
//!
//! # Limits
//!
//! 64 KiB of query (and of its canonical form), 64 nested parentheses, 1,024 terms, 16 regular expressions of 1 KiB
//! each, names of 1 KiB, 16 steps, 16 names in a list, 10,000 rows.

mod table;
mod ast;
mod fold;
mod pattern;
mod number;
mod regex;
mod error;
mod lexer;
mod pipeline;
mod parser;
mod print;
mod eval;
mod values;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use ast::strip_name;
pub use ast::{Comparison, Field, Filter, Name, Test};
pub use error::ParseError;
pub use eval::Scratch;
pub(crate) use eval::{any_inside, is_in_fields, is_in_value};
pub use fold::fold;
pub use number::Number;
pub use pattern::{Needle, Pattern};
pub use pipeline::{Aggregate, Column, Function, Heading, Key, Pipeline, Step, Table};
pub use regex::Regex;
pub use table::TABLE;

/// A query as it was understood. Displays in canonical form, which parses to an equal query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Which records it finds.
    pub filter: Filter,
    /// What becomes of them.
    pub pipeline: Pipeline,
}

/// How a text was read; there is always a way.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// What will be searched.
    pub query: Query,
    /// Whether the text did not parse and is searched as it stands.
    pub as_text: bool,
    /// Why it did not parse.
    pub error: Option<ParseError>,
}

/// Reads `text` as a query, and as plain text if it is none.
pub fn read(text: &str) -> Reading {
    match parse(text) {
        Ok(query) => Reading {
            query,
            as_text: false,
            error: None,
        },
        Err(error) => Reading {
            query: Query::text(text),
            as_text: true,
            error: Some(error),
        },
    }
}

/// Reads `text` as a query.
///
/// # Errors
/// [`ParseError`] with the place, what was expected there, and how to mend it.
pub fn parse(text: &str) -> Result<Query, ParseError> {
    parser::parse(text)
}

impl Query {
    /// The query that searches `text`, without the spaces around it, as one phrase; for empty text, everything.
    pub fn text(text: &str) -> Query {
        Filter::text(text.trim()).into()
    }
}

impl From<Filter> for Query {
    /// The records as they are.
    fn from(filter: Filter) -> Query {
        Query {
            filter,
            pipeline: Pipeline::default(),
        }
    }
}
