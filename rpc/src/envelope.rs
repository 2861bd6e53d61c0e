//! What crosses Redis: a request on its way to a server and the reply on its way back. Arguments and results stay
//! JSON text here; only who knows their type decodes them.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::{RawArgs, code};

/// The largest request that a client sends and a server accepts unless told otherwise. A list element is read
/// whole, so this times the concurrency bounds a server's memory.
pub(crate) const MAX_REQUEST: usize = 16 * 1024 * 1024;

/// The largest result that a server sends unless told otherwise: a client reads up to 128 replies at once, and Redis does
/// nothing else while it hands them over.
pub(crate) const MAX_REPLY: usize = 16 * 1024 * 1024;

/// About what the rest of a request takes, so that its text grows once.
const META_BYTES: usize = 256;

/// About what a reply has besides its result.
const REPLY_BYTES: usize = 96;

/// A request as a server receives it.
#[derive(Debug, Deserialize)]
pub(crate) struct Request<'a> {
    pub(crate) id: RequestId,
    /// Empty if missing, which is the name of no method.
    #[serde(borrow, default)]
    pub(crate) name: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) args: &'a RawValue,
    #[serde(borrow)]
    pub(crate) kwargs: &'a RawValue,
    #[serde(default)]
    pub(crate) meta: Option<Meta>,
}

impl<'a> Request<'a> {
    /// The texts of the arguments.
    ///
    /// # Errors
    ///
    /// When they are of another kind than `asyncredisrpc` has.
    pub(crate) fn arguments(&self) -> Result<(&'a str, &'a str), serde_json::Error> {
        let (args, kwargs) = (self.args.get(), self.kwargs.get());
        if args.starts_with('[') && kwargs.starts_with('{') {
            Ok((args, kwargs))
        } else {
            Err(serde_json::Error::custom(
                "args must be an array and kwargs an object",
            ))
        }
    }
}

/// What is left of a malformed request when it can at least be answered.
#[derive(Debug, Deserialize)]
pub(crate) struct Answerable<'a> {
    pub(crate) id: RequestId,
    #[serde(borrow, default)]
    meta: Option<&'a RawValue>,
}

impl Answerable<'_> {
    /// The meta object, if that part is well-formed.
    pub(crate) fn meta(&self) -> Meta {
        self.meta
            .and_then(|meta| serde_json::from_str(meta.get()).ok())
            .unwrap_or_default()
    }
}

/// A request's id. It becomes part of a Redis key, so it is either short and of harmless characters, or a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestId {
    Number(i64),
    Text(TextId),
}

/// Holds `[0-9A-Za-z_-]{1,64}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextId(String);

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Id;
        impl Visitor<'_> for Id {
            type Value = RequestId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a request id")
            }

            fn visit_i64<E: serde::de::Error>(self, id: i64) -> Result<RequestId, E> {
                Ok(RequestId::Number(id))
            }

            fn visit_u64<E: serde::de::Error>(self, id: u64) -> Result<RequestId, E> {
                i64::try_from(id).map(RequestId::Number).map_err(E::custom)
            }

            fn visit_str<E: serde::de::Error>(self, id: &str) -> Result<RequestId, E> {
                let harmless = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
                if (1..=64).contains(&id.len()) && id.bytes().all(harmless) {
                    Ok(RequestId::Text(TextId(id.to_owned())))
                } else {
                    Err(E::custom("not a request id"))
                }
            }
        }
        deserializer.deserialize_any(Id)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(id) => id.fmt(f),
            Self::Text(TextId(id)) => id.fmt(f),
        }
    }
}

/// What we add to a request. A Python server does not look at it, and keys we do not know are ignored.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Meta {
    /// The version of this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) v: Option<u32>,
    /// The inbox to reply to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reply_to: Option<String>,
    /// When the request was sent, in milliseconds since the epoch by the clock of Redis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sent: Option<i64>,
    /// When the caller stops waiting, in milliseconds since the epoch by the clock of Redis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deadline: Option<i64>,
    /// Whether nobody waits for a reply.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) notify: bool,
    /// Whether a request with the same id is the same call, to be carried out once and answered as often as asked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) idempotent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tracestate: Option<String>,
}

/// The text of a request. All four keys of `asyncredisrpc` are always there: a missing one ends a Python server.
pub(crate) fn request(id: &str, name: &str, RawArgs { args, kwargs }: &RawArgs, meta: &Meta) -> Vec<u8> {
    let mut text = Vec::with_capacity(args.len() + kwargs.len() + name.len() + id.len() + META_BYTES);
    let mut write = |part: &str| text.extend_from_slice(part.as_bytes());
    write("{\"id\":\"");
    write(id);
    write("\",\"name\":");
    serde_json::to_writer(&mut text, name).expect("a string can be written as JSON");
    let mut write = |part: &str| text.extend_from_slice(part.as_bytes());
    write(",\"args\":");
    write(args);
    write(",\"kwargs\":");
    write(kwargs);
    write(",\"meta\":");
    serde_json::to_writer(&mut text, meta).expect("strings and numbers can be written as JSON");
    text.push(b'}');
    text
}

/// A reply as a Python server writes it, and all that the caller sees of any other.
#[derive(Debug, Deserialize)]
pub(crate) struct Reply {
    #[serde(rename = "error")]
    pub(crate) code: i64,
    pub(crate) result: Box<RawValue>,
}

/// A reply in an inbox, where its id tells which call it is for.
#[derive(Debug, Deserialize)]
pub(crate) struct InboxReply<'a> {
    #[serde(borrow, default)]
    pub(crate) id: Option<&'a RawValue>,
    #[serde(rename = "error")]
    pub(crate) code: i64,
    #[serde(borrow)]
    pub(crate) result: &'a RawValue,
}

/// The text of a reply; the id only where it tells something, because the list's name tells it to Python.
pub(crate) fn reply(id: Option<&RequestId>, outcome: Result<&RawValue, (i64, &RawValue)>) -> String {
    let (code, result) = outcome.map_or_else(|fault| fault, |result| (code::OK, result));
    let mut text = String::with_capacity(result.get().len() + REPLY_BYTES);
    let written = match id {
        None => write!(text, "{{\"error\":{code},\"result\":{result}}}"),
        Some(RequestId::Number(id)) => write!(text, "{{\"id\":{id},\"error\":{code},\"result\":{result}}}"),
        Some(RequestId::Text(TextId(id))) => {
            write!(text, "{{\"id\":\"{id}\",\"error\":{code},\"result\":{result}}}")
        }
    };
    written.expect("a text takes more text");
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::python::Python;

    #[track_caller]
    fn id_is_valid(id: &str, expected: bool) {
        assert_eq!(serde_json::from_str::<RequestId>(id).is_ok(), expected, "{id}");
    }

    #[test]
    fn an_id_is_harmless_in_a_key_name() {
        for id in [
            r#""a""#,
            r#""0-9_Z""#,
            "7",
            "-7",
            &format!("{:?}", "x".repeat(64)),
        ] {
            id_is_valid(id, true);
        }
        for id in [
            r#""""#,
            r#""a:b""#,
            r#""é""#,
            r#""a\nb""#,
            r#""*""#,
            "null",
            "1.5",
            "{}",
            "1e400",
            &"9".repeat(30),
        ] {
            id_is_valid(id, false);
        }
        id_is_valid(&format!("{:?}", "x".repeat(65)), false);
    }

    #[test]
    fn a_request_is_read_back_as_it_was_written() {
        let args = RawArgs {
            args: r#"[ 1, "é" ]"#.into(),
            kwargs: r#"{"y": 1180591620717411303424}"#.into(),
        };
        let meta = Meta {
            deadline: Some(5),
            traceparent: Some("00-1-2-01".into()),
            ..Meta::default()
        };
        let text = request("a-1", "sum\"", &args, &meta);
        let request: Request<'_> = serde_json::from_slice(&text).unwrap();
        assert_eq!(
            (request.id.to_string().as_str(), &*request.name),
            ("a-1", "sum\"")
        );
        assert_eq!(
            (request.args.get(), request.kwargs.get()),
            (args.args.as_str(), args.kwargs.as_str())
        );
        let meta = request.meta.unwrap();
        assert_eq!(
            (meta.deadline, meta.notify, meta.traceparent.as_deref()),
            (Some(5), false, Some("00-1-2-01"))
        );
    }

    #[test]
    fn unknown_keys_are_ignored() {
        let text = r#"{"id":"a","name":"f","args":[],"kwargs":{},"meta":{"rid":1,"notify":true},"more":[]}"#;
        assert!(
            serde_json::from_str::<Request<'_>>(text)
                .unwrap()
                .meta
                .unwrap()
                .notify
        );
    }

    #[test]
    fn an_unknown_call_is_answered_as_python_answers() {
        let null = serde_json::from_str::<&RawValue>("null").unwrap();
        assert_eq!(
            reply(None, Err((code::UNKNOWN_REMOTE_CALL, null))),
            r#"{"error":1,"result":null}"#
        );
        assert_eq!(
            reply(Some(&RequestId::Number(7)), Ok(null)),
            r#"{"id":7,"error":0,"result":null}"#
        );
    }

    /// Reads requests and replies as `asyncredisrpc` does, and writes them as it does.
    const READS_AND_WRITES: &str = r"
import json, sys
for line in sys.stdin:
    read = json.loads(line)
    if 'name' in read:
        read = {key: read[key] for key in ('id', 'name', 'args', 'kwargs')}
    else:
        read = {key: read[key] for key in ('error', 'result')}
    print(json.dumps(read), flush=True)
";

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            // Without a digit too much for a parser that is not exact.
            any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| Value::from(serde_json::Map::from_iter(map))),
            ]
        })
    }

    #[test]
    fn any_json_goes_to_python_and_comes_back() {
        let python = std::cell::RefCell::new(Python::start(READS_AND_WRITES));
        let args = prop::collection::vec(any_json(), 0..4);
        let kwargs = prop::collection::btree_map(any::<String>(), any_json(), 0..4);
        let (id, name) = ("[0-9A-Za-z_-]{1,64}", any::<String>());
        let cases = (id, name, args, kwargs, any_json(), any::<i64>());
        proptest!(|((id, name, args, kwargs, result, code) in cases)| {
            let (args, kwargs) = (Value::from(args), serde_json::to_value(kwargs).unwrap());
            let texts = RawArgs { args: args.to_string(), kwargs: kwargs.to_string() };
            let sent = request(&id, &name, &texts, &Meta::default());
            let came = python.borrow_mut().ask(std::str::from_utf8(&sent).unwrap());
            let came: Request<'_> = serde_json::from_str(&came).unwrap();
            prop_assert_eq!((came.id.to_string(), &*came.name), (id, &*name));
            let (came_args, came_kwargs) = came.arguments().unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(came_args).unwrap(), args);
            prop_assert_eq!(serde_json::from_str::<Value>(came_kwargs).unwrap(), kwargs);

            let raw = serde_json::value::to_raw_value(&result).unwrap();
            let came = python.borrow_mut().ask(&reply(Some(&came.id), Err((code, &raw))));
            let came: Reply = serde_json::from_str(&came).unwrap();
            prop_assert_eq!(came.code, code);
            prop_assert_eq!(serde_json::from_str::<Value>(came.result.get()).unwrap(), result);
        });
    }
}
