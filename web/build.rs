//! Embeds everything in `static/` and gives the set one address.
//!
//! All files but `index.html` live under `/assets/<hash>/`, where the hash covers all of them: a change to any file
//! moves the whole set, so the relative imports between modules stay as they are written and can never mix two
//! versions. Writes `assets.rs`, which `src/lib.rs` includes.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

use xxhash_rust::xxh3::Xxh3;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=static");
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets the manifest directory");
    let out = env::var("OUT_DIR").expect("cargo sets the output directory");
    let folder = Path::new(&root).join("static");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder)? {
        names.push(
            entry?
                .file_name()
                .into_string()
                .expect("our file names are plain text"),
        );
    }
    names.retain(|name| name != "index.html");
    names.sort();

    let mut hasher = Xxh3::new();
    for name in &names {
        hasher.update(name.as_bytes());
        hasher.update(&fs::read(folder.join(name))?);
    }
    let hash = format!("{:016x}", hasher.digest());

    let mut source = String::from("static ASSETS: &[Asset] = &[\n");
    for name in &names {
        let content_type = content_type(name);
        let file = folder.join(name);
        writeln!(
            source,
            "Asset {{ path: \"/assets/{hash}/{name}\", content_type: {content_type:?}, hash: {hash:?}, \
             bytes: include_bytes!({file:?}) }},"
        )
        .expect("a string takes any text");
    }
    source.push_str("];\n");

    let index =
        fs::read_to_string(folder.join("index.html"))?.replace("\"/assets/", &format!("\"/assets/{hash}/"));
    let mut index_hasher = Xxh3::new();
    index_hasher.update(index.as_bytes());
    writeln!(
        source,
        "static INDEX: Page = Page {{ content_type: \"text/html; charset=utf-8\", "
    )
    .expect("as above");
    writeln!(
        source,
        "etag: \"\\\"{:016x}\\\"\", body: {index:?} }};",
        index_hasher.digest()
    )
    .expect("as above");
    fs::write(Path::new(&out).join("assets.rs"), source)
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => panic!("static/{name}: say in build.rs what this kind of file is"),
    }
}
