//! `cordon orders` and `cordon release`.

use super::clock;
use super::connect::{Client, call};
use super::failure::Failure;
use super::output::Output;
use super::table::{Cell, Record, Tone, harmless};
use clap::Args;
use cordon_proto::v1::{Level, ListOrdersRequest, Order, ReleaseRequest};
use serde::Serialize;

/// What the audit trail says when an operator gives no reason.
pub(super) const NO_REASON: &str = "no reason given";

/// List isolation orders, newest first.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cordon orders                      those in force
  cordon orders --all                also those that have ended
  cordon orders --output json | jq -r .id")]
pub(crate) struct OrdersArgs {
    /// Also orders that have ended.
    #[arg(long)]
    all: bool,
}

/// End an isolation order before its time.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  cordon release iso-17 --reason \"firmware was replaced\"")]
pub(crate) struct ReleaseArgs {
    /// The order's id; `cordon orders` lists them.
    id: String,
    /// Why, for the audit trail.
    #[arg(long, value_name = "TEXT", default_value = NO_REASON)]
    reason: String,
}

/// An order, as `--output json` writes it.
#[derive(Serialize)]
pub(super) struct View {
    id: String,
    selector: String,
    level: &'static str,
    block: Vec<String>,
    reason: String,
    author: String,
    automatic: bool,
    active: bool,
    created: Option<String>,
    expires: Option<String>,
    remaining_ms: Option<u64>,
    ended: Option<End>,
    things: u64,
}

#[derive(Serialize)]
struct End {
    at: Option<String>,
    expired: bool,
    by: String,
    reason: String,
    #[serde(skip)]
    shown: String,
}

pub(crate) async fn list(args: OrdersArgs, gateway: &mut Client, out: &mut Output) -> Result<(), Failure> {
    let request = ListOrdersRequest { include_ended: args.all };
    let mut orders = gateway.list_orders(call(request)).await?.into_inner();
    let mut views = Vec::new();
    while let Some(order) = orders.message().await? {
        views.push(View::from(order));
    }
    let none = if args.all { "No orders." } else { "No order is in force. `cordon orders --all` lists past ones." };
    out.records(&views, none)
}

pub(crate) async fn release(args: ReleaseArgs, gateway: &mut Client, out: &mut Output) -> Result<(), Failure> {
    let request = ReleaseRequest { id: args.id, reason: args.reason };
    let order = gateway.release(call(request)).await?.into_inner().order.unwrap_or_default();
    if out.is_json() {
        return out.json(&View::from(order));
    }
    out.line(&harmless(&format!("{} has ended: {} is no longer cut off by it.", order.id, order.selector)))
}

/// The word for a level; `-` for none.
pub(super) fn level_name(level: Level) -> &'static str {
    match level {
        Level::Unspecified => "-",
        Level::Audit => "audit",
        Level::Restrict => "restrict",
        Level::Quarantine => "quarantine",
        Level::Disconnect => "disconnect",
    }
}

/// How a level stands out.
pub(super) fn level_tone(level: &str) -> Tone {
    match level {
        "-" | "audit" => Tone::Plain,
        "restrict" => Tone::Warn,
        _ => Tone::Bad,
    }
}

// === impl View ===

impl From<Order> for View {
    fn from(order: Order) -> Self {
        Self {
            level: level_name(order.level()),
            active: order.ended.is_none(),
            id: order.id,
            selector: order.selector,
            block: order.block,
            reason: order.reason,
            author: order.author,
            automatic: order.automatic,
            created: clock::machine(order.created.as_ref()),
            expires: order.expires_unix_ms.map(clock::utc_millis),
            remaining_ms: order.remaining_ms,
            ended: order.ended.map(|end| End {
                shown: clock::shown(end.at.as_ref()),
                at: clock::machine(end.at.as_ref()),
                expired: end.expired,
                by: end.by,
                reason: end.reason,
            }),
            things: order.things,
        }
    }
}

impl Record for View {
    const COLUMNS: &'static [&'static str] = &["ID", "LEVEL", "SELECTS", "STATE", "WHY"];
    const WHOLE: &'static [usize] = &[0, 1, 3];

    fn cells(&self) -> Vec<Cell> {
        let (tone, state) = match (&self.ended, self.remaining_ms) {
            (Some(end), _) => {
                (Tone::Dim, format!("{}\n{}", if end.expired { "expired" } else { "released" }, end.shown))
            }
            (None, Some(left)) => (level_tone(self.level), format!("{} left", clock::human(left))),
            (None, None) => (level_tone(self.level), "until released".to_owned()),
        };
        let mut selects = vec![self.selector.clone()];
        selects.extend(self.block.iter().cloned());
        selects.push(format!("{} {}", self.things, if self.things == 1 { "thing" } else { "things" }));
        let mut why = vec![format!("{} ({})", self.reason, short(&self.author))];
        if let Some(end) = self.ended.as_ref().filter(|end| !end.expired) {
            why.push(format!("ended: {} ({})", end.reason, short(&end.by)));
        }
        vec![
            self.id.clone().into(),
            Cell::toned(self.level, tone),
            Cell::list(&selects),
            Cell::toned(state, tone),
            Cell::list(&why),
        ]
    }
}

/// An operator's bare name; rules stay as they are.
fn short(author: &str) -> &str {
    author.strip_prefix("operator:").unwrap_or(author)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::table::table;

    #[test]
    fn orders_fit_eighty_columns_and_say_how_long_they_hold() {
        let order = Order {
            id: "iso-17".into(),
            selector: "attribute:site=west".into(),
            level: Level::Restrict.into(),
            block: vec!["plant/+/cmd/#".into()],
            reason: "commands at night are not expected from this site".into(),
            author: "operator:dev-operator".into(),
            remaining_ms: Some(598_400),
            things: 3,
            ..Default::default()
        };
        let text = table(&[View::from(order)], Some(80), false);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        for word in ["iso-17", "restrict", "plant/+/cmd/#", "9m58s left", "(dev-operator)"] {
            assert!(text.contains(word), "{word}\n{text}");
        }
    }
}
