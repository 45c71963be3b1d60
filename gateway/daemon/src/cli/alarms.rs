//! `cordon alarms`.

use super::clock;
use super::connect::{Client, call};
use super::failure::Failure;
use super::output::Output;
use super::table::{Cell, Record, Tone};
use clap::Args;
use cordon_proto::v1::{Alarm, ListAlarmsRequest};
use serde::Serialize;

/// List alarms, those that are up first: what was seen, and what is normal.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cordon alarms                      those that are up, then past ones
  cordon alarms --active             only those that are up
  cordon alarms --output json | jq -r .thing")]
pub(crate) struct AlarmsArgs {
    /// Only alarms that are up.
    #[arg(long)]
    active: bool,
    /// At most so many.
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

#[derive(Serialize)]
struct View {
    id: String,
    active: bool,
    source: String,
    thing: Option<String>,
    address: Option<String>,
    metric: String,
    seen: u64,
    normal: String,
    raised: Option<String>,
    cleared: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
    #[serde(skip)]
    shown: Vec<String>,
}

pub(crate) async fn run(args: AlarmsArgs, gateway: &mut Client, out: &mut Output) -> Result<(), Failure> {
    let request = ListAlarmsRequest { include_past: !args.active, limit: args.limit };
    let mut alarms = gateway.list_alarms(call(request)).await?.into_inner();
    let mut views = Vec::new();
    while let Some(alarm) = alarms.message().await? {
        views.push(View::from(alarm));
    }
    let none = if args.active { "No alarm is up. `cordon alarms` lists past ones." } else { "No alarms." };
    out.records(&views, none)
}

// === impl View ===

impl From<Alarm> for View {
    fn from(alarm: Alarm) -> Self {
        let times = [alarm.raised.as_ref(), alarm.cleared.as_ref()];
        Self {
            shown: times.into_iter().flatten().map(|at| clock::shown(Some(at))).collect(),
            id: alarm.id,
            active: alarm.cleared.is_none(),
            source: alarm.source,
            thing: alarm.thing,
            address: alarm.address,
            metric: alarm.metric,
            seen: alarm.seen,
            normal: alarm.normal,
            raised: clock::machine(alarm.raised.as_ref()),
            cleared: clock::machine(alarm.cleared.as_ref()),
            note: alarm.note,
        }
    }
}

impl Record for View {
    const COLUMNS: &'static [&'static str] = &["STATE", "RAISED, CLEARED", "WHO", "WHAT"];
    const WHOLE: &'static [usize] = &[0, 1];

    fn cells(&self) -> Vec<Cell> {
        let who = self.thing.as_ref().or(self.address.as_ref());
        let state = if self.active { Cell::toned("active", Tone::Bad) } else { Cell::toned("cleared", Tone::Dim) };
        let mut what = vec![
            self.metric.clone(),
            format!("{} seen, normal is {}", self.seen, self.normal),
            self.source.clone(),
            self.note.clone(),
        ];
        what.retain(|line| !line.is_empty());
        vec![state, Cell::list(&self.shown), who.map_or("-", String::as_str).into(), Cell::list(&what)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::table::table;
    use cordon_proto::v1::Moment;

    #[test]
    fn an_alarm_fits_eighty_columns_without_breaking_a_word() {
        let at = |unix_ms| Some(Moment { unix_ms, mono_ms: 0, trusted: true });
        let alarm = Alarm {
            source: "behavior line-1/authorization-failures".into(),
            thing: Some("press-01".into()),
            metric: "aws:num-authorization-failures".into(),
            seen: 12,
            normal: "at most 5 in 60s".into(),
            raised: at(1_767_225_600_000),
            cleared: at(1_767_225_660_000),
            ..Default::default()
        };
        let text = table(&[View::from(alarm)], Some(80), false);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        for word in ["2026-01-01T00:01:00Z", "aws:num-authorization-failures", "12 seen, normal is at most 5 in 60s"] {
            assert!(text.contains(word), "{word}\n{text}");
        }
    }
}
