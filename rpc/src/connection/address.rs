//! Where Redis is and how to get in, as one URL says it. What was read is usable as far as that can be told without
//! the network. Nothing here shows a password, not even a part of a URL that could not be read.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use redis::IntoConnectionInfo;

use super::tls::Tls;
use crate::Error;

/// Where Redis is and how to get in. Printing it shows no password.
///
/// | URL | connects to |
/// |---|---|
/// | `redis://[user:password@]host[:port][/db]` | one Redis or Valkey |
/// | `unix:///path[?db=3&user=…&password=…]` | one on this machine |
/// | `redis+sentinel://[user:password@]host[:port],host…/master[/db]` | the master of this name, as these Sentinels know it; their own login is `?sentinel_user=…&sentinel_password=…` |
/// | `redis+cluster://[user:password@]host[:port],host…` | the node of a cluster that owns the queue |
///
/// The schemes `rediss`, `rediss+sentinel` and `rediss+cluster` encrypt with TLS. The certificate of Redis is
/// checked against those that the machine trusts, or those in the file of `?cacert=PATH`; `?cert=PATH&key=PATH` is the
/// certificate to show to Redis and its key. All are PEM files, read again for each connection. `?insecure=true`
/// accepts any certificate, and so anybody's.
///
/// In a user name or a password the characters `/ ? # @ : %` are written `%2F %3F %23 %40 %3A %25`.
///
/// ```
/// let address: rpc::Address = "rediss://shop:secret@redis.internal/3?insecure=true".parse()?;
/// assert_eq!(address.to_string(), "rediss://shop@redis.internal:6379/3");
/// # Ok::<_, rpc::Error>(())
/// ```
#[derive(Clone)]
pub struct Address {
    pub(super) place: Place,
    pub(super) login: Login,
    pub(super) db: i64,
    pub(super) tls: Option<Tls>,
}

#[derive(Clone)]
pub(super) enum Place {
    Server(Host),
    Socket(PathBuf),
    Sentinels {
        sentinels: Vec<Host>,
        master: String,
        /// For the Sentinels themselves.
        login: Login,
    },
    /// Nodes from which the others are learned.
    Cluster(Vec<Host>),
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) port: u16,
}

#[derive(Clone, Default)]
pub(super) struct Login {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

impl Address {
    pub(crate) fn is_cluster(&self) -> bool {
        match self.place {
            Place::Cluster(_) => true,
            Place::Server(_) | Place::Socket(_) | Place::Sentinels { .. } => false,
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    /// # Errors
    ///
    /// [`Error::Config`], which says what is wrong and quotes nothing of the URL.
    fn from_str(url: &str) -> Result<Self, Error> {
        let address =
            parse(url).map_err(|why| Error::Config(format!("the Redis URL is not usable: {why}")))?;
        if let Some(tls) = &address.tls {
            tls.check()?;
        }
        Ok(address)
    }
}

/// What stands in a URL, still as text.
struct Parts<'a> {
    scheme: &'a str,
    /// With the `@` behind it, or empty.
    login: &'a str,
    hosts: &'a str,
    path: &'a str,
    options: &'a str,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (login, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        Some(Self {
            scheme,
            login,
            hosts,
            path,
            options,
        })
    }

    fn hosts(&self, default_port: u16) -> Result<Vec<Host>, &'static str> {
        self.hosts
            .split(',')
            .map(|host| read_host(host, default_port))
            .collect()
    }
}

fn parse(url: &str) -> Result<Address, &'static str> {
    if url.contains('#') {
        return Err("it has a #; in a password that is written %23");
    }
    let parts = Parts::of(url).ok_or("it has no ://")?;
    let segments: Vec<&str> = parts
        .path
        .split('/')
        .skip(1)
        .filter(|part| !part.is_empty())
        .collect();
    let (place, db) = match parts.scheme {
        "redis" | "valkey" | "rediss" | "valkeys" => {
            let [host] = &parts.hosts(6379)?[..] else {
                return Err("it names several hosts; that is for redis+sentinel and redis+cluster");
            };
            (Place::Server(host.clone()), &segments[..])
        }
        "unix" | "redis+unix" | "valkey+unix" => {
            if parts.path.len() < 2 {
                return Err("it has no path of a socket");
            }
            (Place::Socket(parts.path.into()), &[][..])
        }
        "redis+sentinel" | "rediss+sentinel" => {
            let (master, db) = segments
                .split_first()
                .ok_or("it does not name the Sentinels' master: /NAME")?;
            let place = Place::Sentinels {
                sentinels: parts.hosts(26379)?,
                master: (*master).to_owned(),
                login: Login::default(),
            };
            (place, db)
        }
        "redis+cluster" | "rediss+cluster" => (Place::Cluster(parts.hosts(6379)?), &segments[..]),
        _ => {
            return Err(
                "its scheme is none of redis, rediss, unix, redis+sentinel, rediss+sentinel, redis+cluster, \
                        rediss+cluster",
            );
        }
    };
    let db = match db {
        [] => 0,
        [db] => read_db(db)?,
        _ => return Err("its path has too many parts"),
    };
    let secure = matches!(
        parts.scheme,
        "rediss" | "valkeys" | "rediss+sentinel" | "rediss+cluster"
    );
    let address = Address {
        place,
        login: read_login(parts.login)?,
        db,
        tls: secure.then(Tls::default),
    };
    with_options(address, parts.options)
}

fn with_options(mut address: Address, options: &str) -> Result<Address, &'static str> {
    let url =
        redis::parse_redis_url(&format!("redis://host?{options}")).ok_or("its options cannot be read")?;
    for (name, value) in url.query_pairs() {
        let value = value.into_owned();
        match (&*name, &mut address.place, &mut address.tls) {
            ("db", _, _) => address.db = read_db(&value)?,
            ("user" | "username", _, _) => address.login.user = Some(value),
            ("pass" | "password", _, _) => address.login.password = Some(value),
            ("sentinel_user", Place::Sentinels { login, .. }, _) => login.user = Some(value),
            ("sentinel_password", Place::Sentinels { login, .. }, _) => login.password = Some(value),
            ("cacert", _, Some(tls)) => tls.authorities = Some(value.into()),
            ("cert", _, Some(tls)) => tls.certificate = Some(value.into()),
            ("key", _, Some(tls)) => tls.key = Some(value.into()),
            ("insecure", _, Some(tls)) => tls.insecure = value == "true",
            _ => {
                return Err(
                    "it has an option that there is not, or not with its scheme; there are db, user, password, \
                             for Sentinels sentinel_user, sentinel_password, and for TLS cacert, cert, key, insecure",
                );
            }
        }
    }
    if address.is_cluster() && address.db != 0 {
        return Err("it names a database, and a cluster has only one");
    }
    Ok(address)
}

/// The library reads what one URL of one host says; whatever it does not like may hold a password, so it is not asked
/// for the reason.
fn read_host(host: &str, default_port: u16) -> Result<Host, &'static str> {
    let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
    let port = if has_port {
        String::new()
    } else {
        format!(":{default_port}")
    };
    match format!("redis://{host}{port}")
        .into_connection_info()
        .as_ref()
        .map(|info| info.addr().clone())
    {
        Ok(redis::ConnectionAddr::Tcp(name, port)) => Ok(Host { name, port }),
        Ok(_) | Err(_) => {
            Err("a host or port cannot be read; in a password / ? # @ are written %2F %3F %23 %40")
        }
    }
}

fn read_login(login: &str) -> Result<Login, &'static str> {
    let info = format!("redis://{login}host").into_connection_info();
    let info = info.map_err(|_| "the user name or password cannot be read")?;
    let settings = info.redis_settings();
    Ok(Login {
        user: settings.username().map(str::to_owned),
        password: settings.password().map(str::to_owned),
    })
}

fn read_db(db: &str) -> Result<i64, &'static str> {
    db.parse()
        .ok()
        .filter(|db| *db >= 0)
        .ok_or("the database is not a number")
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secure = if self.tls.is_some() { "s" } else { "" };
        let user = self
            .login
            .user
            .as_ref()
            .map_or_else(String::new, |user| format!("{user}@"));
        match &self.place {
            Place::Server(host) => write!(f, "redis{secure}://{user}{host}/{}", self.db),
            Place::Socket(path) => write!(f, "unix://{user}{}?db={}", path.display(), self.db),
            Place::Sentinels {
                sentinels, master, ..
            } => {
                write!(
                    f,
                    "redis{secure}+sentinel://{user}{}/{master}/{}",
                    listed(sentinels),
                    self.db
                )
            }
            Place::Cluster(nodes) => write!(f, "redis{secure}+cluster://{user}{}", listed(nodes)),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.contains(':') {
            true => write!(f, "[{}]:{}", self.name, self.port),
            false => write!(f, "{}:{}", self.name, self.port),
        }
    }
}

fn listed(hosts: &[Host]) -> String {
    hosts.iter().map(Host::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, shown: &str) {
        let address: Address = url.parse().unwrap();
        assert_eq!(address.to_string(), shown);
    }

    #[track_caller]
    fn refused(url: &str, why: &str) {
        let error = url.parse::<Address>().unwrap_err().to_string();
        assert!(error.contains(why), "{url}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn every_kind_of_place_has_its_url() {
        check("redis://h", "redis://h:6379/0");
        check("redis://[::1]:7/3", "redis://[::1]:7/3");
        check("valkey://u:secret@h/?db=2", "redis://u@h:6379/2");
        check("redis://:secret@h:1", "redis://h:1/0");
        check(
            "unix:///run/redis.sock?db=1&user=u&pass=secret",
            "unix://u@/run/redis.sock?db=1",
        );
        check("redis+unix:///run/redis.sock", "unix:///run/redis.sock?db=0");
        check(
            "redis+sentinel://u:secret@a,b:7/main/3",
            "redis+sentinel://u@a:26379,b:7/main/3",
        );
        check(
            "redis+sentinel://a/main?sentinel_password=secret",
            "redis+sentinel://a:26379/main/0",
        );
        check(
            "redis+cluster://a,[::1],c:7",
            "redis+cluster://a:6379,[::1]:6379,c:7",
        );
        assert_eq!(
            format!("{:?}", "redis://:secret@h".parse::<Address>().unwrap()),
            "Address(redis://h:6379/0)"
        );
    }

    #[test]
    fn a_login_may_have_any_character() {
        let address: Address = "redis://a%40b:%2F%3F%23%3A%25@h".parse().unwrap();
        assert_eq!(address.login.user.as_deref(), Some("a@b"));
        assert_eq!(address.login.password.as_deref(), Some("/?#:%"));
    }

    #[test]
    fn a_url_that_cannot_work_is_refused_without_its_text() {
        refused("secret", "no ://");
        refused("http://secret@h", "scheme");
        refused("redis://:sec/ret@h", "%2F");
        refused("redis://:secret#@h", "%23");
        refused("redis://:secret?@h", "%3F");
        refused("redis://secret@", "host");
        refused("redis://h:secret", "port");
        refused("redis://h/secret", "not a number");
        refused("redis://h/-1", "not a number");
        refused("redis://h/1/secret", "too many");
        refused("redis://a,b", "several hosts");
        refused("redis://h?secret=1", "option");
        refused("redis://h?cacert=secret", "option");
        refused("unix://", "path");
        refused("redis+sentinel://a,b", "master");
        refused("redis+cluster://a/3", "database");
        refused("redis+cluster://a?sentinel_user=u", "option");
    }

    #[cfg(feature = "tls")]
    #[test]
    fn tls_has_its_options_and_their_files_are_looked_at() {
        check("rediss://u:secret@h", "rediss://u@h:6379/0");
        check("rediss+cluster://h?insecure=true", "rediss+cluster://h:6379");
        refused("rediss://h?cacert=/nowhere/ca.pem", "/nowhere/ca.pem");
        refused("rediss://h?cert=/nowhere/own.pem", "key");
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn without_tls_an_encrypted_address_is_refused() {
        refused("rediss://h", "feature");
    }
}
