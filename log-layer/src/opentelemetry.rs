//! The ids that OpenTelemetry has given, where it traces the same program: records then name its traces, not ours.
//!
//! `tracing-opentelemetry` activates the context of a span that is entered; what is active is what counts.

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;

use crate::traceparent::{SpanId, TraceId};

/// The active span of OpenTelemetry's, if there is one.
pub(crate) fn active() -> Option<(TraceId, SpanId)> {
    Context::map_current(|context| {
        let span = context.span();
        let ids = span.span_context();
        ids.is_valid().then(|| {
            (
                TraceId::from_bytes(ids.trace_id().to_bytes()),
                SpanId::from_bytes(ids.span_id().to_bytes()),
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, TraceFlags, TraceState};

    use super::*;
    use crate::testing::capture;

    #[test]
    fn records_and_calls_name_the_active_trace_and_without_one_ours() {
        let ids = SpanContext::new(
            opentelemetry::trace::TraceId::from_hex("4bf92f3577b34da6a3ce929d0e0e4736").unwrap(),
            opentelemetry::trace::SpanId::from_hex("00f067aa0ba902b7").unwrap(),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        );
        let mut header = None;
        let logged = capture(|| {
            let _span = tracing::info_span!("request").entered();
            {
                let _active = Context::new().with_remote_span_context(ids).attach();
                tracing::info!("theirs");
                header = crate::traceparent();
            }
            tracing::info!("ours");
        });
        assert_eq!(
            logged[0].trace_id.as_deref(),
            Some("4bf92f3577b34da6a3ce929d0e0e4736")
        );
        assert_eq!(logged[0].span_id.as_deref(), Some("00f067aa0ba902b7"));
        assert_eq!(logged[0].spans[0].name, "request");
        assert_eq!(
            header.as_deref(),
            Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        );
        assert_ne!(logged[1].trace_id, logged[0].trace_id);
    }
}
