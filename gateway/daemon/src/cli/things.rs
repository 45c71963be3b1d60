//! `cordon things` and `cordon shadow`.

use super::clock;
use super::connect::{Client, call};
use super::failure::Failure;
use super::orders::{level_name, level_tone};
use super::output::Output;
use super::table::{Cell, Record, Tone, harmless};
use clap::Args;
use cordon_proto::v1::{GetShadowRequest, ListThingsRequest, Thing};
use serde::Serialize;
use std::collections::BTreeMap;

/// List the registered things by name.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cordon things
  cordon things press-01
  cordon things --output json | jq -r 'select(.isolation != null) | .name'")]
pub(crate) struct ThingsArgs {
    /// Only this thing.
    thing: Option<String>,
}

/// Show a thing's shadow document.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  cordon shadow press-01\n  cordon shadow press-01 --name config --output json | jq .state.reported"
)]
pub(crate) struct ShadowArgs {
    /// The thing.
    thing: String,
    /// A named shadow [default: the classic one].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

#[derive(Serialize)]
struct View {
    name: String,
    thing_type: Option<String>,
    groups: Vec<String>,
    attributes: BTreeMap<String, String>,
    policies: Vec<String>,
    firmware: Option<String>,
    isolation: Option<&'static str>,
    orders: Vec<String>,
    compliance: String,
    client_id: Option<String>,
    peer: Option<String>,
    last_seen: Option<String>,
    #[serde(skip)]
    shown: String,
}

pub(crate) async fn list(args: ThingsArgs, gateway: &mut Client, out: &mut Output) -> Result<(), Failure> {
    let mut things = gateway.list_things(call(ListThingsRequest { thing: args.thing.clone() })).await?.into_inner();
    let mut views = Vec::new();
    while let Some(thing) = things.message().await? {
        views.push(View::from(thing));
    }
    match args.thing {
        Some(name) if views.is_empty() => {
            Err(Failure::Failed(format!("there is no thing called {name}; `cordon things` lists them")))
        }
        _ => out.records(&views, "No things are registered."),
    }
}

pub(crate) async fn shadow(args: ShadowArgs, gateway: &mut Client, out: &mut Output) -> Result<(), Failure> {
    let request = GetShadowRequest { thing: args.thing, shadow_name: args.name.unwrap_or_default() };
    let document = gateway.get_shadow(call(request)).await?.into_inner().document;
    let unreadable = |error| Failure::Failed(format!("the gateway's answer is not JSON: {error}"));
    let value: serde_json::Value = serde_json::from_str(&document).map_err(unreadable)?;
    if out.is_json() {
        return out.json(&value);
    }
    out.line(&harmless(&serde_json::to_string_pretty(&value).map_err(unreadable)?))
}

// === impl View ===

impl From<Thing> for View {
    fn from(thing: Thing) -> Self {
        let shown = if thing.client_id.is_some() {
            "connected".to_owned()
        } else {
            thing.last_seen.as_ref().map_or_else(|| "never seen".to_owned(), |at| clock::shown(Some(at)))
        };
        Self {
            shown,
            isolation: Some(level_name(thing.isolation())).filter(|name| *name != "-"),
            name: thing.name,
            thing_type: thing.thing_type,
            groups: thing.groups,
            attributes: thing.attributes.into_iter().collect(),
            policies: thing.policies,
            firmware: thing.firmware,
            orders: thing.orders,
            compliance: thing.compliance,
            client_id: thing.client_id,
            peer: thing.peer,
            last_seen: clock::machine(thing.last_seen.as_ref()),
        }
    }
}

impl Record for View {
    const COLUMNS: &'static [&'static str] =
        &["NAME", "TYPE", "GROUPS", "FIRMWARE", "LAST SEEN", "ISOLATION", "COMPLIANCE"];
    const WHOLE: &'static [usize] = &[4, 5, 6];

    fn cells(&self) -> Vec<Cell> {
        let seen = if self.client_id.is_some() { Tone::Good } else { Tone::Plain };
        let level = self.isolation.unwrap_or("-");
        let compliance = match self.compliance.as_str() {
            "compliant" => Tone::Good,
            "deviating" => Tone::Warn,
            "escalated" => Tone::Bad,
            _ => Tone::Dim,
        };
        vec![
            self.name.clone().into(),
            Cell::from(&self.thing_type),
            Cell::list(&self.groups),
            Cell::from(&self.firmware),
            Cell::toned(self.shown.clone(), seen),
            Cell::toned(level, level_tone(level)),
            Cell::toned(self.compliance.clone(), compliance),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::table::table;
    use cordon_proto::v1::Level;

    #[test]
    fn the_things_of_a_plant_fit_eighty_columns_without_breaking_names() {
        let thing = |name: &str, connected: bool| Thing {
            name: name.into(),
            thing_type: Some("press".into()),
            groups: vec!["line-1".into()],
            firmware: Some("1.2.0".into()),
            isolation: Level::Quarantine.into(),
            compliance: "deviating".into(),
            client_id: connected.then(|| name.into()),
            ..Default::default()
        };
        let rows = [View::from(thing("press-01", true)), View::from(thing("press-02", false))];
        let text = table(&rows, Some(80), false);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}
