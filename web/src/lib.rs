//! The search page: the files of `static/`, embedded in the binary under addresses that may be cached for ever.
//!
//! Promises that the page needs nothing from another host, runs under [`CONTENT_SECURITY_POLICY`], and that all
//! its files come from one build. Knows nothing of HTTP: the server serves [`index`] at `/`, [`asset`] at
//! `/assets/…`, and the API the page calls under `/api`.
//!
//! Where to read on: `static/app.js` wires the page together; `static/api.js` is the only file that talks to the
//! server; `build.rs` puts the modules end to end and makes the addresses.
//!
//! There is no framework, no bundler and no generated source: what lies in `static/` are plain modules that a browser
//! runs as they are, and `node web/develop.js http://127.0.0.1:7080` serves them so, beside a running server. They are
//! put end to end, without their comments and types, because of what they weigh: one by one they are 95 kB after gzip
//! with their comments and 67 kB without, in more than fifty requests whose names are learned one import after the
//! other; together they are 55 kB in one. The page promises less than 60.

/// What a browser may do on this page: load our own files and nothing else, and never turn text into code.
///
/// To be sent with every answer. The page holds no inline script or style, and no text is ever parsed as HTML.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'";

/// The document. It names the assets of one build, so it must be asked for anew each time (`no-cache` and its tag).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// For the header `Content-Type`.
    pub content_type: &'static str,
    /// For the header `ETag`, with its quotation marks.
    pub etag: &'static str,
    /// The HTML.
    pub body: &'static str,
}

/// A file the page loads. Its path changes with its content, so it may be cached as immutable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asset {
    /// The path of its URL, such as `/assets/<hash>/app.js`.
    pub path: &'static str,
    /// For the header `Content-Type`.
    pub content_type: &'static str,
    /// The hash in the path; it covers all assets together.
    pub hash: &'static str,
    /// The content.
    pub bytes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The document to serve at `/`.
///
/// ```
/// let page = web::index();
/// assert!(page.body.starts_with("<!doctype html>"));
/// ```
pub fn index() -> Page {
    INDEX
}

/// The asset at this URL path; `None` for any other path, also for one of another build.
///
/// ```
/// assert!(web::assets().all(|asset| web::asset(asset.path) == Some(asset)));
/// assert_eq!(web::asset("/assets/app.js"), None);
/// ```
pub fn asset(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

/// All assets, by name.
pub fn assets() -> impl Iterator<Item = &'static Asset> {
    ASSETS.iter()
}
