//! `rpc call`: one call, as typed.

use rpc::{Error, Fault};
use serde::Serialize;
use serde_json::value::RawValue;

use super::failure::Failure;
use super::screen::Screen;
use super::{Options, words};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The queue, which is the service's name
    queue: String,
    /// The method to call
    method: String,
    /// JSON values, or plain text; NAME=VALUE is a keyword argument
    #[arg(value_name = "ARG", allow_negative_numbers = true)]
    arguments: Vec<String>,
    /// Do not wait for a reply; none is sent
    #[arg(long, conflicts_with = "idempotent")]
    notify: bool,
    /// Send it again when the connection is lost: carrying it out twice does no harm
    #[arg(long)]
    idempotent: bool,
}

/// What a script reads: the reply as it crosses Redis.
#[derive(Serialize)]
struct Reply<'a> {
    error: i64,
    result: &'a RawValue,
}

pub(crate) async fn run(options: &Options, call: &Arguments, screen: &Screen) -> Result<(), Failure> {
    let arguments = words::arguments(&call.arguments)?;
    options.inspector(&call.queue).await?;
    let client = options.client(&call.queue)?;
    if call.notify {
        return Ok(client.notify(&call.method, arguments).await?);
    }
    let mut request = client.request(&call.method).params(arguments);
    if call.idempotent {
        request = request.idempotent();
    }
    let result = request.send::<Box<RawValue>>().await;
    if !screen.json {
        return screen.json_text(result?.get());
    }
    match &result {
        Ok(result) => screen.object(&Reply { error: 0, result })?,
        Err(Error::UnknownMethod { .. }) => screen.object(&Reply {
            error: rpc::code::UNKNOWN_REMOTE_CALL,
            result: RawValue::NULL,
        })?,
        Err(Error::Remote(Fault {
            code,
            message,
            data,
            retryable,
            ..
        })) => screen.object(&serde_json::json!({
            "error": code,
            "result": {"message": message, "data": data, "retryable": retryable},
        }))?,
        Err(_) => {}
    }
    Ok(result.map(drop)?)
}
