//! What arrived, by the run of the process that sent it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::collector::batches;

/// The records of each boot by their number, which must have neither a gap nor a repeat.
#[track_caller]
pub(crate) fn whole_runs(texts: &[String]) -> BTreeMap<String, Vec<Value>> {
    let mut runs: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for batch in batches(texts) {
        let run = runs.entry(batch["source"]["boot"].to_string()).or_default();
        run.extend(batch["records"].as_array().unwrap().iter().cloned());
    }
    for run in runs.values_mut() {
        run.sort_by_key(|record| record["seq"].as_u64());
        let numbers: Vec<u64> = run.iter().map(|record| record["seq"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    }
    runs
}
