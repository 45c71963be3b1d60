//! Connections that do nothing, and connections that come and go.

use super::client::Target;
use super::process;
use crate::Options;
use anyhow::Result;
use serde_json::{Value, json};
use std::time::Instant;

pub(crate) fn idle(target: &Target, options: &Options) -> Result<Value> {
    let count = options.number("connections", 1000)?;
    let before = target.pid.map(process::resident).transpose()?;
    let mut held = Vec::with_capacity(count);
    for number in 0..count {
        let mut client = target.connect(&format!("load-idle-{number}"))?;
        client.subscribe(&format!("{}/idle/{number}", target.topic), 0)?;
        client.stand_by();
        held.push(client);
    }
    let after = target.pid.map(process::resident).transpose()?;
    let each = before.zip(after).map(|(before, after)| after.saturating_sub(before) as f64 / count as f64);
    Ok(json!({ "connections": held.len(), "kib_each": each.map(|kib| (kib * 100.0).round() / 100.0) }))
}

pub(crate) fn connect(target: &Target, options: &Options) -> Result<Value> {
    let count = options.number("connections", 2000)?;
    let begin = Instant::now();
    for number in 0..count {
        drop(target.connect(&format!("load-conn-{number}"))?);
    }
    Ok(json!({ "connections": count, "per_second": (count as f64 / begin.elapsed().as_secs_f64()).round() }))
}
