//! `cordon findings`.

use super::clock;
use super::connect::{Client, call};
use super::failure::Failure;
use super::output::Output;
use super::table::{Cell, Record, Tone};
use clap::Args;
use cordon_proto::v1::{Finding, ListFindingsRequest};
use serde::Serialize;

/// List deviations from baselines, newest first, and how far their remediation is.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cordon findings                    those that are open
  cordon findings --all              also those that are closed
  cordon findings --output json | jq 'select(.state == \"escalated\")'")]
pub(crate) struct FindingsArgs {
    /// Also findings that are closed.
    #[arg(long)]
    all: bool,
}

#[derive(Serialize)]
struct View {
    id: String,
    thing: String,
    baseline: String,
    state: String,
    deviations: Vec<Deviation>,
    opened: Option<String>,
    closed: Option<String>,
    deadline_in_ms: Option<u64>,
    attempts: u32,
    order: Option<String>,
    #[serde(skip)]
    shown: String,
}

#[derive(Serialize)]
struct Deviation {
    path: String,
    found: Option<String>,
    wanted: String,
}

pub(crate) async fn run(args: FindingsArgs, gateway: &mut Client, out: &mut Output) -> Result<(), Failure> {
    let request = ListFindingsRequest { include_closed: args.all };
    let mut findings = gateway.list_findings(call(request)).await?.into_inner();
    let mut views = Vec::new();
    while let Some(finding) = findings.message().await? {
        views.push(View::from(finding));
    }
    let none = if args.all { "No findings." } else { "No open findings. `cordon findings --all` lists closed ones." };
    out.records(&views, none)
}

// === impl View ===

impl From<Finding> for View {
    fn from(finding: Finding) -> Self {
        let deviations = finding.deviations.into_iter();
        Self {
            shown: clock::shown(finding.opened.as_ref()),
            id: finding.id,
            thing: finding.thing,
            baseline: finding.baseline,
            state: finding.state,
            deviations: deviations
                .map(|deviation| Deviation { path: deviation.path, found: deviation.found, wanted: deviation.wanted })
                .collect(),
            opened: clock::machine(finding.opened.as_ref()),
            closed: clock::machine(finding.closed.as_ref()),
            deadline_in_ms: finding.deadline_in_ms,
            attempts: finding.attempts,
            order: finding.order,
        }
    }
}

impl Record for View {
    const COLUMNS: &'static [&'static str] = &["OPENED", "THING", "BASELINE", "DEVIATION", "STATE"];
    const WHOLE: &'static [usize] = &[0];

    fn cells(&self) -> Vec<Cell> {
        let deviations: Vec<String> = self
            .deviations
            .iter()
            .map(|it| format!("{} is {}, wanted {}", it.path, it.found.as_deref().unwrap_or("missing"), it.wanted))
            .collect();
        let mut state = vec![self.state.clone()];
        state.extend(self.deadline_in_ms.map(|left| format!("told {}x, {} left", self.attempts, clock::human(left))));
        state.extend(self.order.clone());
        let tone = match self.state.as_str() {
            "closed" => Tone::Dim,
            "escalated" => Tone::Bad,
            _ => Tone::Warn,
        };
        vec![
            self.shown.clone().into(),
            self.thing.clone().into(),
            self.baseline.clone().into(),
            Cell::list(&deviations),
            Cell::toned(state.join("\n"), tone),
        ]
    }
}
