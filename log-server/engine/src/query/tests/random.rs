//! Random texts, queries and records, from alphabets so small that queries find something.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use log_record::{CallSite, Fields, Flag, Flags, Kind, Level, LogRecord, Source, Span, Timestamp, Value};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::query::{
    Aggregate, Column, Comparison, Field, Filter, Function, Heading, Key, Name, Number, Pattern, Pipeline,
    Query, Regex, Step, Table, Test, parse,
};

const WORDS: [&str; 34] = [
    "",
    "a",
    "B",
    "ab",
    "Timeout",
    "登录",
    "登录失败",
    "İ",
    "i",
    "ı",
    "ß",
    "ẞ",
    "SS",
    "Σ",
    "ς",
    "σas",
    "K",
    "k",
    "\u{212A}",
    "ſ",
    "42",
    "42.0",
    "4",
    "-1.5",
    "true",
    "null",
    "a b",
    "a*b",
    "*",
    "\"",
    "\\",
    "/x/",
    "10..20",
    "9007199254740993",
];
const NAMES: [&str; 14] = [
    "a", "A", "b", "a.b", "a.b.c", "c", "ß", "odd name", "", "level", "service", "span.a", "fields.a", "x-y",
];
const PATTERNS: [&str; 10] = [
    "a", "^A$", "4.*", "(?-i)T", "登", "ς", "a/b", "^$", "\\d\\.", "[^a]",
];

fn word() -> impl Strategy<Value = String> {
    select(&WORDS[..]).prop_map(str::to_owned)
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => select(&NAMES[..]).prop_map(str::to_owned), 1 => "[a-c.:@ *-]{0,3}"]
}

/// Anything, and what looks nearly like a query.
pub(crate) fn text() -> impl Strategy<Value = String> {
    const TOKENS: [&str; 46] = [
        " ", " ", "(", ")", "\"", "\\", "*", "/", ":", "..", ">", "<=", "-", "AND", "OR", "NOT", "level",
        "warn", "a", "b.c", "5", "-1.5e3", "登", "İ", "\u{3000}", "|", "=", "@", "span.", "fields.",
        "message", "\n", "😀", "\u{7f}", "\\\"", "\\*", "\\/", "::", "| ", "count", "by ", "stats ", "p95 ",
        ",", "sort ", "desc",
    ];
    prop_oneof![
        any::<String>(),
        vec(select(&TOKENS[..]), 0..16).prop_map(|tokens| tokens.concat())
    ]
}

pub(crate) fn filter() -> impl Strategy<Value = Filter> {
    let leaf = prop_oneof![
        1 => Just(Filter::All),
        3 => prop_oneof![word(), text()].prop_map(|text| Filter::text(&text)),
        1 => (level(), level()).prop_map(|(one, other)| Filter::Level { from: one.min(other), to: one.max(other) }),
        6 => (field(), test()).prop_map(|(field, test)| Filter::Field { field, test }),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(Filter::and),
            vec(inner.clone(), 2..4).prop_map(Filter::or),
            inner.prop_map(|filter| !filter),
        ]
    })
}

pub(crate) fn field() -> impl Strategy<Value = Field> {
    const BUILT_IN: [&str; 16] = [
        "message", "service", "instance", "host", "version", "boot", "target", "file", "line", "callsite",
        "thread", "trace", "span_id", "seq", "flags", "spans",
    ];
    prop_oneof![
        2 => select(&BUILT_IN[..]).prop_map(Field::named),
        1 => name().prop_map(|name| Field::Span(Name(name))),
        1 => name().prop_map(|name| Field::Attr(Name(name))),
        3 => name().prop_map(|name| Field::Own(Name(name))),
    ]
}

fn test() -> impl Strategy<Value = Test> {
    let comparison = select(vec![
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ]);
    prop_oneof![
        1 => Just(Test::Present),
        4 => vec(word(), 1..4).prop_map(|pieces| Pattern::new(&pieces)).prop_filter("that is presence", |p| !p.is_any()).prop_map(Test::Is),
        1 => (comparison, number()).prop_map(|(comparison, number)| Test::Compare(comparison, number)),
        1 => (number(), number()).prop_map(|(from, to)| Test::Range(from, to)),
        1 => select(&PATTERNS[..]).prop_map(|pattern| Test::Matches(Regex::new(pattern).unwrap())),
    ]
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        (-3..50_i128).prop_map(Number::Int),
        select(vec![
            9_007_199_254_740_992_i128,
            9_007_199_254_740_993,
            i128::from(u64::MAX),
            i128::MIN
        ])
        .prop_map(Number::Int),
        select(vec![42.0, -1.5, 0.1, 1e300, -0.0]).prop_map(Number::Float),
    ]
}

fn level() -> impl Strategy<Value = Level> {
    select(Level::ALL.to_vec())
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => (-3..50_i64).prop_map(Value::Int),
        1 => select(vec![Value::Int(9_007_199_254_740_993), Value::Int(i64::MIN), Value::UInt(u64::MAX)]),
        1 => select(vec![42.0, -1.5, 0.1, 1e300, 4.0e-9]).prop_map(Value::Float),
        4 => word().prop_map(|word| Value::Text(word.into())),
    ];
    scalar.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::List),
            fields_of(inner).prop_map(Value::Map)
        ]
    })
}

fn fields() -> impl Strategy<Value = Fields> {
    fields_of(value())
}

fn fields_of(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Fields> {
    vec((name().prop_map(Cow::<str>::Owned), value), 0..4).prop_map(|mut fields| {
        // A name appears once; names that differ in case may stand beside each other.
        let mut known = Vec::new();
        fields.retain(|(name, _)| {
            !known.contains(name) && {
                known.push(name.clone());
                true
            }
        });
        fields
    })
}

pub(crate) fn source() -> impl Strategy<Value = Source> {
    (
        word(),
        option::of(word()),
        option::of(word()),
        option::of(word()),
        option::of(word()),
        fields(),
    )
        .prop_map(|(service, instance, boot, host, version, attrs)| Source {
            service: service.into(),
            instance: instance.map(Arc::from),
            boot: boot.map(Arc::from),
            host: host.map(Arc::from),
            version: version.map(Arc::from),
            attrs,
        })
}

pub(crate) fn record() -> impl Strategy<Value = LogRecord> {
    let file = option::of(select(vec!["a", "src/a", "src/ab", "x\\B", "登录/a"]));
    let callsite = (word(), file, option::of(select(vec![4_u32, 42])), level());
    let span = (word(), fields()).prop_map(|(name, fields)| Span {
        name: name.into(),
        fields,
    });
    let ids = (
        option::of(word()),
        option::of(word()),
        option::of(word()),
        option::of(0..50_u64),
        any::<bool>(),
    );
    (callsite, word(), fields(), vec(span, 0..3), ids).prop_map(
        |(
            (target, file, line, level),
            message,
            fields,
            spans,
            (trace_id, span_id, thread, seq, truncated),
        )| {
            let mut flags = Flags::default();
            if truncated {
                flags.set(Flag::Truncated);
            }
            let file = file.map(Arc::from);
            let callsite = CallSite {
                target: target.into(),
                file,
                line,
                level,
                kind: Kind::Event,
            };
            LogRecord {
                seq,
                time: Timestamp::from_nanos(0),
                callsite: Arc::new(callsite),
                message: message.into(),
                fields,
                spans,
                trace_id: trace_id.map(Into::into),
                span_id: span_id.map(Into::into),
                thread: thread.map(Into::into),
                flags,
            }
        },
    )
}

fn column() -> impl Strategy<Value = Column> {
    prop_oneof![
        1 => Just(Column::Time),
        2 => Just(Column::Level),
        6 => field().prop_map(|field| Column::named(&field.name())),
        1 => select(vec!["by", "count", "p95", "desc", "fields.time", "max"]).prop_map(Column::named),
    ]
}

fn aggregate() -> impl Strategy<Value = Aggregate> {
    let any = select(vec![Function::Min, Function::Max, Function::Distinct]);
    let numeric = prop_oneof![
        Just(Function::Sum),
        Just(Function::Avg),
        (1..1000_u16).prop_map(Function::Percentile)
    ];
    prop_oneof![
        2 => Just(Aggregate::Count),
        2 => (any, column()).prop_map(|(function, column)| Aggregate::Of(function, column)),
        3 => (numeric, field()).prop_map(|(function, field)| Aggregate::Of(function, Column::named(&field.name())))
            .prop_filter("of numbers", |aggregate| matches!(aggregate.column(), Some(Column::Field(_)))),
    ]
}

fn each_once<T: PartialEq>(items: Vec<T>) -> Vec<T> {
    let mut kept = Vec::new();
    for item in items {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept
}

pub(crate) fn table() -> impl Strategy<Value = Table> {
    let every = option::of(select(vec![1_u64, 1_500, 60_000, 604_800_000]).prop_map(Duration::from_millis));
    (every, vec(aggregate(), 1..4), vec(column(), 0..3)).prop_map(|(every, aggregates, by)| Table {
        every,
        aggregates: each_once(aggregates),
        by: each_once(by),
    })
}

/// Steps whose columns are there: picked by number from those of the table, or from any for records.
pub(crate) fn pipeline() -> impl Strategy<Value = Pipeline> {
    let picks = vec((any::<prop::sample::Index>(), any::<bool>()), 1..4);
    let steps = vec((0..3, picks, 1..50_usize), 0..4);
    (option::of(table()), vec(column(), 4), steps).prop_map(|(table, columns, steps)| {
        let records = || each_once(columns.iter().cloned().map(Heading::Column).collect::<Vec<_>>());
        let mut headings = table.as_ref().map_or_else(records, Table::headings);
        let mut done = Vec::new();
        for (kind, picks, most) in steps {
            let picked = picks
                .iter()
                .map(|(index, descending)| (index.get(&headings).clone(), *descending));
            let step = match kind {
                0 => Step::Limit(most),
                1 => Step::Sort(each_once(
                    picked
                        .map(|(heading, descending)| Key { heading, descending })
                        .collect(),
                )),
                _ => Step::Fields(each_once(picked.map(|(heading, _)| heading).collect())),
            };
            if let Step::Fields(kept) = &step {
                headings.clone_from(kept);
            }
            done.push(step);
        }
        Pipeline { table, steps: done }
    })
}

/// The filter as it comes out of its printed form, so that the parser is part of every search in a test.
pub(crate) fn reparsed(filter: &Filter) -> Filter {
    parse(&Query::from(filter.clone()).to_string()).unwrap().filter
}
