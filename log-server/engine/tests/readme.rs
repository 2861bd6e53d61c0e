//! What the README says of the query language is true: every example is a query.

use log_engine::query;

#[test]
fn every_query_in_the_readme_is_read_as_a_query() {
    let readme = include_str!("../../../README.md");
    let search = readme
        .split("\n## Search\n")
        .nth(1)
        .expect("there is a section on searching");
    let tables = search.split("\n\n").filter(|part| part.starts_with("| written"));
    let mut checked = 0;
    for row in tables.flat_map(|table| table.lines().skip(2)) {
        // Within a table, a bar of the language is escaped.
        let written = row
            .split(" | ")
            .next()
            .expect("a row has a first column")
            .replace("\\|", "|");
        // Every other piece between backticks is code; an ellipsis stands for what the reader fills in.
        for example in written
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|example| !example.contains('…'))
        {
            query::parse(example).unwrap_or_else(|error| panic!("{example}: {error}"));
            checked += 1;
        }
    }
    assert!(checked > 10, "only {checked} examples were found");
}
