//! One half of a shadow: `desired` or `reported`, with its timestamps.

use super::merge::{Stamps, merge, metadata};
use super::request::Change;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The fields and when they last changed. An empty section does not appear in documents.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Section {
    pub(super) state: Map<String, Value>,
    pub(super) stamps: Stamps,
}

// === impl Section ===

impl Section {
    pub(super) fn apply(&mut self, change: &Change, at: u64) {
        match change {
            Change::Keep => {}
            Change::Remove => *self = Self::default(),
            Change::Merge(patch) => merge(&mut self.state, &mut self.stamps, patch, at),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state.is_empty()
    }

    pub(super) fn metadata(&self) -> Value {
        metadata(&self.stamps)
    }

    /// The number of fields at every level.
    pub(super) fn fields(&self) -> usize {
        self.state.values().map(count).sum::<usize>() + self.state.len()
    }
}

fn count(value: &Value) -> usize {
    match value {
        Value::Object(fields) => fields.len() + fields.values().map(count).sum::<usize>(),
        Value::Array(items) => items.len() + items.iter().map(count).sum::<usize>(),
        _ => 0,
    }
}
