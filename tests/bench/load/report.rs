//! The report: medians over the rounds, and how Cordon stands against the bars.
//!
//! A ratio is taken within each round, between runs that followed each other, and the median of these ratios is what
//! counts: what slows the machine down for a while then slows both sides.

use super::bars::{Bar, MEASURES, Measure};
use super::process::hundredths;
use crate::Options;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

/// Of the brokers that a row compares, the one that bars are for; the first that took part.
const OURS: [&str; 2] = ["cordon", "cordon-many"];
/// The brokers' order in the report.
const BROKERS: [&str; 5] = ["cordon", "cordon-many", "cordon-few", "rumqttd", "mosquitto"];
/// A broker that used less of a core than this at full load was not at its limit.
const BUSY: f64 = 0.85;

/// The figures of one metric of one row: by broker, by round.
type Figures = BTreeMap<String, BTreeMap<u64, f64>>;

/// Reads one JSON object a line, `{"row", "broker", "round", "result"}`; writes `json=FILE`, returns the table.
pub(crate) fn run(options: &Options) -> Result<String> {
    let file = options.needed("in")?;
    let text = fs::read_to_string(file).with_context(|| file.to_owned())?;
    let runs: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect::<Result<_>>()?;
    let mut table =
        format!("{:<20} {:<22} {:>12} {:>12} {:>12}   bar\n", "row", "figure", "cordon", "rumqttd", "mosquitto");
    let mut measures = Vec::new();
    for measure in MEASURES {
        let figures = figures(&runs, measure);
        let Some(ours) = OURS.iter().find_map(|name| figures.get(*name)) else { continue };
        let medians: BTreeMap<&str, f64> =
            BROKERS.iter().filter_map(|name| Some((*name, median(figures.get(*name)?.values().copied())?))).collect();
        let bars: Vec<(String, f64, bool)> = measure.bars.iter().filter_map(|bar| judge(bar, ours, &figures)).collect();
        line(&mut table, measure, &medians, &bars)?;
        let bars = bars.iter().map(|(words, value, met)| json!({ "bar": words, "measured": value, "met": met }));
        let bars: Vec<Value> = bars.collect();
        measures.push(json!({ "row": measure.row, "figure": measure.metric, "medians": medians, "bars": bars }));
    }
    notes(&mut table, &runs)?;
    if let Some(file) = options.text("json") {
        let cores = std::thread::available_parallelism().map(usize::from).ok();
        fs::write(file, format!("{:#}\n", json!({ "cores": cores, "measures": measures, "runs": runs })))?;
    }
    Ok(table.trim_end().to_owned())
}

fn figures(runs: &[Value], measure: &Measure) -> Figures {
    let mut figures = Figures::new();
    for run in runs.iter().filter(|run| run["row"] == measure.row) {
        let (broker, round) = (run["broker"].as_str().unwrap_or_default(), run["round"].as_u64().unwrap_or_default());
        if let Some(figure) = run["result"][measure.metric].as_f64() {
            figures.entry(broker.to_owned()).or_default().insert(round, figure);
        }
    }
    figures
}

/// The bar in words, the figure or ratio, and whether it is good enough; nothing if the other did not run.
fn judge(bar: &Bar, ours: &BTreeMap<u64, f64>, figures: &Figures) -> Option<(String, f64, bool)> {
    let value = match bar.peer() {
        None => median(ours.values().copied())?,
        Some(peer) => {
            let theirs = figures.get(peer)?;
            median(ours.iter().filter_map(|(round, figure)| Some(figure / theirs.get(round).filter(|it| **it > 0.0)?)))?
        }
    };
    Some((bar.words(), hundredths(value), bar.is_met(value)))
}

fn line(
    table: &mut String,
    measure: &Measure,
    medians: &BTreeMap<&str, f64>,
    bars: &[(String, f64, bool)],
) -> Result<()> {
    let cell =
        |names: &[&str]| names.iter().find_map(|name| medians.get(name)).map_or("-".to_owned(), ToString::to_string);
    let (ours, others) = (cell(&OURS), [cell(&["rumqttd", "cordon-few"]), cell(&["mosquitto"])]);
    write!(table, "{:<20} {:<22} {ours:>12} {:>12} {:>12}  ", measure.row, measure.metric, others[0], others[1])?;
    for (words, value, met) in bars {
        write!(table, " {value} ({words}) {};", if *met { "pass" } else { "FAIL" })?;
    }
    *table = table.trim_end_matches(';').trim_end().to_owned() + "\n";
    Ok(())
}

/// What makes a figure less than it seems: one line for each row and broker.
fn notes(table: &mut String, runs: &[Value]) -> Result<()> {
    let mut kinds: BTreeMap<(&str, &str), Vec<&Value>> = BTreeMap::new();
    for run in runs {
        let name = |key: &str| run[key].as_str().unwrap_or_default();
        kinds.entry((name("row"), name("broker"))).or_default().push(run);
    }
    for ((row, broker), runs) in kinds {
        let mut note = |text: String| writeln!(table, "note: {row}, {broker}: {text}");
        let figures = |key: &'static str| runs.iter().filter_map(move |run| run["result"][key].as_f64());
        let failed = runs.iter().filter(|run| run["error"].is_string() || run["result"]["failed"] == true).count();
        if failed > 0 {
            note(format!("{failed} of {} runs failed", runs.len()))?;
        }
        if let Some(least) = figures("delivered_percent").min_by(f64::total_cmp).filter(|least| *least < 100.0) {
            note(format!("messages did not arrive; in the worst run only {least} % did"))?;
        }
        // A load without a pace of its own is meant to keep the broker busy.
        let flat_out = figures("deliveries_per_second").next().is_some();
        if let Some(cores) = median(figures("broker_cores")).filter(|cores| flat_out && *cores < BUSY) {
            let own = median(figures("generator_cores")).unwrap_or_default();
            note(format!("not at its limit: it used {cores} cores, the generator {own}"))?;
        }
    }
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        count if count % 2 == 1 => values.get(middle).copied(),
        _ => Some(hundredths((values[middle - 1] + values[middle]) / 2.0)),
    }
}
