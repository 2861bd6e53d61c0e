//! Who is answered: requests that name a host we were told of (a foreign name that resolves to us is DNS rebinding) and
//! that no other site's page made, and, where tokens are asked for, that bring one. Every answer forbids what the page does not need.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::AppState;
use super::error::ApiError;

/// The names under which this server answers.
#[derive(Debug)]
pub(crate) struct AllowedHosts {
    names: Vec<String>,
    /// Any address of this machine is a name too when the server listens on all of them.
    addresses: bool,
}

impl AllowedHosts {
    /// Loopback names, the address listened on, and what the configuration adds.
    pub(crate) fn new(listen: SocketAddr, more: &[String]) -> AllowedHosts {
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned()];
        names.push(match listen.ip() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        });
        names.extend(more.iter().map(|name| name.to_ascii_lowercase()));
        AllowedHosts {
            names,
            addresses: listen.ip().is_unspecified(),
        }
    }

    fn allows(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else {
            return false;
        };
        // A user name in a host is nothing a browser sends.
        if host.contains('@') {
            return false;
        }
        let name = authority.host().to_ascii_lowercase();
        // Rebinding needs a name; a literal address is what it is.
        let literal = name.trim_matches(['[', ']']).parse::<IpAddr>();
        self.names.contains(&name)
            || (self.addresses && literal.is_ok_and(|address| !address.is_unspecified()))
    }
}

/// Refuses foreign hosts and foreign pages; adds the protecting headers to every answer.
pub(super) async fn guard(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let refused = refused(&state.hosts, request.headers()).or_else(|| {
        // That the process lives is no secret, and who asks is a supervisor.
        let is_known = request.uri().path() == "/livez" || state.access.allows(request.headers());
        (!is_known).then_some(ApiError::Unknown)
    });
    let mut response = match refused {
        Some(error) => error.into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, web::CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            header::HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

fn refused(hosts: &AllowedHosts, headers: &HeaderMap) -> Option<ApiError> {
    let mut named = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (named.next().and_then(|host| host.to_str().ok()), named.next()) else {
        return Some(ApiError::BadRequest("a request needs exactly one Host".into()));
    };
    if !hosts.allows(host) {
        return Some(ApiError::ForeignHost);
    }
    // Browsers say where a request comes from; programs say nothing and are welcome.
    let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
    if matches!(site, Some("cross-site" | "same-site")) && !is_navigation(headers) {
        return Some(ApiError::ForeignPage);
    }
    let origin = headers
        .get(header::ORIGIN)
        .and_then(|origin| origin.to_str().ok());
    let own = |origin: &str| {
        origin
            .split_once("://")
            .is_some_and(|(_, authority)| authority == host)
    };
    if site.is_none() && origin.is_some_and(|origin| !own(origin)) {
        return Some(ApiError::ForeignPage);
    }
    None
}

/// A link from elsewhere may open the page: it shows the other site nothing.
fn is_navigation(headers: &HeaderMap) -> bool {
    let is = |name: &str, value: &str| headers.get(name).is_some_and(|given| given == value);
    is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(listen: &str, host: &str, allowed: bool) {
        let hosts = AllowedHosts::new(listen.parse().unwrap(), &["logs.example.org".into()]);
        assert_eq!(hosts.allows(host), allowed, "{host} on {listen}");
    }

    #[test]
    fn only_known_names_are_answered() {
        check("127.0.0.1:7080", "localhost:7080", true);
        check("127.0.0.1:7080", "LOCALHOST", true);
        check("127.0.0.1:7080", "127.0.0.1:7080", true);
        check("127.0.0.1:7080", "[::1]:7080", true);
        check("127.0.0.1:7080", "logs.example.org", true);
        check("127.0.0.1:7080", "evil.com", false);
        check("127.0.0.1:7080", "127.0.0.1.nip.io", false);
        check("127.0.0.1:7080", "evil@localhost", false);
        check("127.0.0.1:7080", "10.0.0.5:7080", false);
        check("10.0.0.5:7080", "10.0.0.5:7080", true);
        check("0.0.0.0:7080", "10.0.0.5:7080", true);
        check("0.0.0.0:7080", "0.0.0.0:7080", true);
        check("0.0.0.0:7080", "evil.com", false);
    }
}
