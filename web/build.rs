//! Embeds everything in `static/` and gives the set one address.
//!
//! All files but `index.html` live under `/assets/<hash>/`, where the hash covers all of them, so two versions never
//! mix. The sources are plain ES modules and style sheets, and run as they are; what is served is the same text put
//! end to end: one file for each module the document names, with all that it imports, and one style sheet. Fifty files
//! of their own would be five round trips, and half as heavy again compressed. Comments stay behind. Writes `assets.rs`,
//! which `src/lib.rs` includes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use xxhash_rust::xxh3::Xxh3;

/// What the document loads. A new kind of file wants a line in [`content_type`].
const SERVED: [&str; 5] = ["app.js", "theme.js", "style.css", "views.css", "icon.svg"];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=static");
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets the manifest directory");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets the output directory"));
    let folder = Path::new(&root).join("static");

    let mut hasher = Xxh3::new();
    for name in SERVED {
        let text = match content_type(name) {
            Kind::Module => Linked::with_all_it_imports(&folder, name)?,
            Kind::Style | Kind::Picture => fs::read_to_string(folder.join(name))?,
        };
        let text = bare(&text);
        hasher.update(name.as_bytes());
        hasher.update(text.as_bytes());
        fs::write(out.join(name), text)?;
    }
    let hash = format!("{:016x}", hasher.digest());

    let mut source = String::from("static ASSETS: &[Asset] = &[\n");
    for name in SERVED {
        let content_type = content_type(name).header();
        let file = out.join(name);
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
        "static INDEX: Page = Page {{ content_type: \"text/html; charset=utf-8\", etag: \"\\\"{:016x}\\\"\", \
         body: {index:?} }};",
        index_hasher.digest()
    )
    .expect("as above");
    fs::write(out.join("assets.rs"), source)
}

enum Kind {
    Module,
    Style,
    Picture,
}

impl Kind {
    fn header(&self) -> &'static str {
        match self {
            Kind::Module => "text/javascript; charset=utf-8",
            Kind::Style => "text/css; charset=utf-8",
            Kind::Picture => "image/svg+xml",
        }
    }
}

fn content_type(name: &str) -> Kind {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("js") => Kind::Module,
        Some("css") => Kind::Style,
        Some("svg") => Kind::Picture,
        _ => panic!("static/{name}: say in build.rs what this kind of file is"),
    }
}

/// Modules in the order in which they need each other, each in a function of its own: names cannot meet.
#[derive(Default)]
struct Linked {
    text: String,
    /// Those that are in `text`, and those that are on their way there.
    done: Vec<String>,
    open: Vec<String>,
}

impl Linked {
    fn with_all_it_imports(folder: &Path, name: &str) -> io::Result<String> {
        let mut linked = Linked::default();
        linked.add(folder, name)?;
        Ok(linked.text)
    }

    fn add(&mut self, folder: &Path, name: &str) -> io::Result<()> {
        assert!(
            !self.open.iter().any(|open| open == name),
            "{name} imports itself by way of {:?}",
            self.open
        );
        if self.done.iter().any(|done| done == name) {
            return Ok(());
        }
        self.open.push(name.to_owned());
        let source = fs::read_to_string(folder.join(name))?;
        let (mut body, mut exports) = (String::new(), String::new());
        let mut lines = source.lines();
        while let Some(line) = lines.next() {
            if line.starts_with("import ") {
                let mut statement = line.to_owned();
                while !statement.ends_with(';') {
                    statement.push_str(lines.next().expect("an import ends").trim());
                }
                let (names, from) = imported(&statement);
                self.add(folder, from)?;
                writeln!(body, "const {names} = {};", variable(from)).expect("a string takes any text");
            } else if let Some(declaration) = line.strip_prefix("export ") {
                write!(exports, "{}, ", declared(declaration)).expect("as above");
                writeln!(body, "{declaration}").expect("as above");
            } else {
                writeln!(body, "{line}").expect("as above");
            }
        }
        self.open.pop();
        self.done.push(name.to_owned());
        let variable = variable(name);
        writeln!(
            self.text,
            "const {variable} = (() => {{\n{body}return {{ {exports}}};\n}})();"
        )
        .expect("as above");
        Ok(())
    }
}

/// The names in braces, and the file they come from.
fn imported(statement: &str) -> (&str, &str) {
    let parts = statement
        .strip_prefix("import ")
        .and_then(|rest| rest.strip_suffix("\";"))
        .and_then(|rest| rest.split_once(" from \"./"));
    let (names, from) =
        parts.unwrap_or_else(|| panic!("imports are written as in the other modules: {statement}"));
    assert!(names.starts_with('{') && !names.contains(" as "), "{statement}");
    (names, from)
}

/// The name that `function name(…` or `const name = …` gives.
fn declared(declaration: &str) -> &str {
    let words = declaration.trim_start_matches("async ").split_once(' ');
    let (kind, rest) = words.unwrap_or_else(|| panic!("{declaration}"));
    assert!(
        ["function", "function*", "class", "const"].contains(&kind),
        "{declaration}"
    );
    let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
    &rest[..end.expect("a declaration goes on behind the name")]
}

fn variable(module: &str) -> String {
    format!("${}", module.trim_end_matches(".js").replace('-', "_"))
}

/// Without the comments that have their lines for themselves, and without empty lines and indentation; a text over
/// several lines is left as it is. Half of what a module weighs is said to people who read its source.
fn bare(source: &str) -> String {
    let mut served = String::with_capacity(source.len());
    let (mut in_comment, mut in_text) = (false, false);
    for line in source.lines() {
        let was_in_text = in_text;
        let trimmed = line.trim();
        // A type that is said before the code it is about stays on its line, and goes with the others.
        let code_behind = trimmed.contains("*/") && !trimmed.ends_with("*/");
        in_comment |= !in_text && trimmed.starts_with("/*") && !code_behind;
        if in_comment || (!in_text && (trimmed.is_empty() || trimmed.starts_with("//"))) {
            in_comment &= !trimmed.contains("*/");
            continue;
        }
        in_text ^= line.matches('`').count() % 2 == 1;
        served.push_str(&if was_in_text {
            line.to_owned()
        } else {
            without_types(trimmed)
        });
        served.push('\n');
    }
    served
}

/// The line without what stands in `/** @… */`.
fn without_types(line: &str) -> String {
    let mut rest = line;
    let mut kept = String::new();
    while let Some((before, after)) = rest.split_once("/** @") {
        kept.push_str(before);
        rest = after
            .split_once("*/")
            .expect("a type ends on its line")
            .1
            .trim_start();
    }
    kept + rest
}
