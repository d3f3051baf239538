//! The model as JSON in the dialect of the cluster's version: here that of the v0 API,
//! in `operator` that of the operator API.

mod agent;
mod json;
mod master;
pub(crate) mod operator;
mod rich;
mod task;
#[cfg(test)]
mod tests;

pub(crate) use agent::agent_state;
use master::flag_values;
pub(crate) use master::{flags, master_state, metrics, version};

use serde::Serialize;

use super::content::bytes_of;
use super::model::Model;
use super::spec::Label;

/// A label as v0 writes it.
#[derive(Serialize)]
struct LabelView<'a> {
    key: &'a str,
    value: &'a str,
}

fn labels(labels: &[Label]) -> Vec<LabelView<'_>> {
    labels
        .iter()
        .map(|label| LabelView {
            key: &label.key,
            value: &label.value,
        })
        .collect()
}

#[derive(Serialize, Default)]
struct Resources {
    cpus: f64,
    disk: f64,
    gpus: f64,
    mem: f64,
}

impl Resources {
    fn new(cpus: f64, mem: f64) -> Self {
        Self {
            cpus,
            mem,
            ..Self::default()
        }
    }
}

fn bytes(model: &Model, view: &impl Serialize) -> Vec<u8> {
    // Views hold nothing that cannot be written: strings, numbers and lists of them.
    let serialised = serde_json::to_vec(view).unwrap_or_default();
    if model.raw_bytes {
        bytes_of(serialised)
    } else {
        serialised
    }
}
