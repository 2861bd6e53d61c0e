//! Telling a webhook, and nobody else: the address that was looked up is checked, and the one that was checked is the
//! one that is connected to. Loopback, link-local (which is where clouds keep their secrets), multicast and other
//! addresses that are no host's are refused unless the configuration names them; private networks are where a team's
//! own services are, so they may be told. Nothing of an answer but its status is ever shown.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use url::{Host, Url};

/// How long an attempt may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Before the second and the third attempt; there is no fourth.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// Sends notices. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Webhooks {
    client: Client,
    allowed: Arc<[String]>,
}

/// Why a notice did not arrive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebhookError {
    #[error("{0}")]
    Address(String),
    #[error("its address is not one that a webhook may have; --webhook-allow can name it")]
    Forbidden,
    #[error("the webhook did not answer within {LIMIT:?}")]
    Late,
    #[error("the webhook cannot be reached")]
    Unreachable,
    #[error("the webhook answered with status {0}")]
    Refused(StatusCode),
}

/// The address, if it is one that can be told.
pub(crate) fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("the webhook is no address: {error}"))?;
    match (url.scheme(), url.host()) {
        ("http" | "https", Some(_)) => Ok(url),
        _ => Err("a webhook begins with https:// or http:// and names a host".into()),
    }
}

impl Webhooks {
    /// `allowed` are hosts that may be told wherever they are.
    ///
    /// # Errors
    /// When the machine's certificates cannot be loaded.
    pub(crate) fn new(allowed: &[String]) -> anyhow::Result<Webhooks> {
        let allowed: Arc<[String]> = allowed.iter().map(|host| host.to_ascii_lowercase()).collect();
        let client = Client::builder()
            .redirect(Policy::none())
            // A proxy would look the name up once more, unchecked.
            .no_proxy()
            .timeout(LIMIT)
            .user_agent(concat!("log-server/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(Checked {
                allowed: allowed.clone(),
            }))
            .build()?;
        Ok(Webhooks { client, allowed })
    }

    /// Sends a notice, with some patience.
    ///
    /// # Errors
    /// What came of the last attempt.
    pub(crate) async fn tell(&self, webhook: &str, notice: &Value) -> Result<(), WebhookError> {
        let url = address(webhook).map_err(WebhookError::Address)?;
        // An address that is written as a number is looked up by nobody.
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        let named = self
            .allowed
            .iter()
            .any(|host| Some(host.as_str()) == url.host_str());
        if !named && literal.is_some_and(is_forbidden) {
            return Err(WebhookError::Forbidden);
        }
        let mut pauses = PAUSES.iter();
        loop {
            let error = match self.client.post(url.clone()).json(notice).send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => WebhookError::Refused(answer.status()),
                Err(error) if is_from(&error) => return Err(WebhookError::Forbidden),
                Err(error) if error.is_timeout() => WebhookError::Late,
                Err(_) => WebhookError::Unreachable,
            };
            // A client's error stays one however often it is said; 429, too many requests, is no such error.
            let pointless = matches!(&error, WebhookError::Refused(status) if status.is_client_error() && status.as_u16() != 429);
            match pauses.next() {
                Some(pause) if !pointless => tokio::time::sleep(*pause).await,
                _ => return Err(error),
            }
        }
    }
}

/// The system's resolver, without the addresses that may not be told.
struct Checked {
    allowed: Arc<[String]>,
}

#[derive(Debug, thiserror::Error)]
#[error("forbidden address")]
struct ForbiddenAddress;

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let named = self
            .allowed
            .iter()
            .any(|host| host.eq_ignore_ascii_case(name.as_str()));
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let all = found.len();
            let open: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| named || !is_forbidden(address.ip()))
                .collect();
            if open.is_empty() && all > 0 {
                return Err(ForbiddenAddress.into());
            }
            Ok(Box::new(open.into_iter()) as Addrs)
        })
    }
}

/// Whether an error comes from our own refusal.
fn is_from(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<ForbiddenAddress>() || error.source().is_some_and(is_from)
}

/// Whether nobody's webhook can be there.
fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_forbidden_v4(address),
        IpAddr::V6(address) => is_forbidden_v6(address) || embedded(address).is_some_and(is_forbidden_v4),
    }
}

fn is_forbidden_v4(address: Ipv4Addr) -> bool {
    address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.octets()[0] == 0
        || address.octets()[0] >= 240
}

fn is_forbidden_v6(address: Ipv6Addr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unicast_link_local()
}

/// The IPv4 address that a gateway would make of it: mapped, compatible, NAT64, 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, high, low] = address.segments();
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff | 0] | [0x64, 0xff9b, 0, 0, 0, 0] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        // Teredo writes the address with its bits turned over.
        [0x2001, 0, ..] => v4(!high, !low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, forbidden: bool) {
        assert_eq!(is_forbidden(address.parse().unwrap()), forbidden, "{address}");
    }

    #[test]
    fn only_addresses_of_hosts_may_be_told() {
        for address in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::",
            "::1",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2001:0:0:0:0:0:80ff:fffe",
        ] {
            check(address, true);
        }
        for address in [
            "93.184.216.34",
            "10.0.0.7",
            "192.168.1.2",
            "2606:4700::1111",
            "fd00::1",
            "64:ff9b::808:808",
        ] {
            check(address, false);
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_refused_at_once() {
        let webhooks = Webhooks::new(&[]).unwrap();
        for webhook in [
            "http://localhost:9/",
            "http://127.1:9/",
            "http://[::1]:9/",
            "http://2130706433/",
        ] {
            let told = webhooks.tell(webhook, &Value::Null).await;
            assert!(
                matches!(told, Err(WebhookError::Forbidden)),
                "{webhook}: {told:?}"
            );
        }
    }

    #[test]
    fn a_webhook_is_a_web_address() {
        assert!(address("https://hooks.example.org/x?y").is_ok());
        for wrong in [
            "",
            "hooks.example.org",
            "file:///etc/passwd",
            "ftp://x/",
            "https://",
            "javascript:alert(1)",
        ] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
