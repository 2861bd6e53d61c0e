//! What the page promises to whoever serves it: it is whole, it needs nobody else, it turns no text into code.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

fn text(asset: &web::Asset) -> &str {
    std::str::from_utf8(asset.bytes).expect("all our files are text")
}

fn name(asset: &web::Asset) -> &'static str {
    asset.path.rsplit('/').next().expect("a split has a first part")
}

/// The source of every module, by its name.
fn modules() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("static");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "js"))
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                fs::read_to_string(&path).unwrap(),
            )
        })
        .collect()
}

/// Every value that stands between `before` and the next quotation mark.
fn quoted<'a>(source: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    source
        .split(before)
        .skip(1)
        .map(|rest| rest.split('"').next().expect("a split has a first part"))
}

#[test]
fn everything_the_document_links_to_is_served() {
    let body = web::index().body;
    let links: Vec<&str> = quoted(body, "href=\"").chain(quoted(body, " src=\"")).collect();
    assert!(links.iter().any(|link| link.ends_with("app.js")), "{links:?}");
    for link in links.into_iter().filter(|link| link.starts_with("/assets/")) {
        assert!(web::asset(link).is_some(), "{link}");
    }
}

#[test]
fn every_module_is_part_of_what_is_served_and_needs_no_other_file() {
    let served: String = web::assets()
        .filter(|asset| asset.path.ends_with(".js"))
        .map(text)
        .collect();
    for (name, source) in modules() {
        let variable = format!(
            "const ${} = (() => {{",
            name.trim_end_matches(".js").replace('-', "_")
        );
        assert!(
            served.contains(&variable),
            "{name} is not there, or nobody imports it"
        );
        for line in source.lines().filter(|line| line.starts_with("export ")) {
            let line = line.strip_prefix("export ").unwrap();
            assert!(served.contains(line), "{name}: {line}");
        }
    }
    for line in served.lines() {
        assert!(
            !line.starts_with("import ") && !line.starts_with("export "),
            "{line}"
        );
    }
}

#[test]
fn comments_are_for_who_reads_the_source() {
    for asset in web::assets() {
        assert!(!text(asset).contains("/*"), "{}", asset.path);
    }
}

#[test]
fn all_files_are_one_set_under_one_hash() {
    let hashes: std::collections::BTreeSet<&str> = web::assets().map(|asset| asset.hash).collect();
    assert_eq!(hashes.len(), 1);
    for asset in web::assets() {
        assert_eq!(asset.path, format!("/assets/{}/{}", asset.hash, name(asset)));
    }
}

#[test]
fn every_element_a_module_asks_for_is_in_the_document() {
    let body = web::index().body;
    for (name, source) in modules() {
        for id in quoted(&source, "ById(\"") {
            assert!(body.contains(&format!("id=\"{id}\"")), "{name} asks for #{id}");
        }
    }
}

#[test]
fn the_document_has_no_inline_script_style_or_handler() {
    let body = web::index().body;
    for script in body.split("<script").skip(1) {
        let (tag, content) = script.split_once('>').unwrap();
        assert!(
            tag.contains(" src=\"") && content.starts_with("</script>"),
            "{tag}"
        );
    }
    for tag in body.split('<').skip(1).map(|tag| tag.split('>').next().unwrap()) {
        assert!(!tag.starts_with("style") && !tag.contains(" style="), "{tag}");
        assert!(!tag.contains(" on") && !tag.contains("javascript:"), "{tag}");
    }
}

#[test]
fn no_module_turns_text_into_code() {
    const FORBIDDEN: [&str; 14] = [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "setHTML",
        "parseFromString",
        "createContextualFragment",
        "document.write",
        "srcdoc",
        "eval(",
        "new Function",
        "import(",
        "trustedTypes",
        "\"style\"",
        "javascript:",
    ];
    for (name, source) in modules() {
        for forbidden in FORBIDDEN {
            assert!(!source.contains(forbidden), "{name} contains {forbidden}");
        }
    }
}

#[test]
fn only_one_module_talks_to_the_server() {
    for (name, source) in modules() {
        for network in [
            "fetch(",
            "new EventSource",
            "XMLHttpRequest",
            "sendBeacon",
            "WebSocket",
            "new Worker",
        ] {
            let allowed = name == "api.js" && matches!(network, "fetch(" | "new EventSource");
            assert_eq!(source.contains(network), allowed, "{name} and {network}");
        }
    }
}

#[test]
fn nothing_comes_from_another_host() {
    // The name of a format, never loaded.
    let foreign = |source: &str| source.replace("http://www.w3.org/2000/svg", "").contains("://");
    assert!(!foreign(web::index().body));
    for asset in web::assets() {
        assert!(!foreign(text(asset)), "{}", asset.path);
    }
}

#[test]
fn the_policy_allows_our_own_files_only() {
    let policy = web::CONTENT_SECURITY_POLICY;
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert!(policy.ends_with("require-trusted-types-for 'script'"), "{policy}");
    assert!(
        !policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"),
        "{policy}"
    );
}

#[test]
fn the_whole_page_weighs_less_than_60_kb() {
    let gzipped = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap().len()
    };
    let files: usize = web::assets().map(|asset| gzipped(asset.bytes)).sum();
    let total = files + gzipped(web::index().body.as_bytes());
    assert!(total < 60_000, "{total} bytes");
}
