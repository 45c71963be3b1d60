//! `cordon isolate`.

use super::clock;
use super::connect::{Client, call};
use super::failure::Failure;
use super::orders::View as OrderView;
use super::output::Output;
use super::table::harmless;
use clap::{Args, ValueEnum};
use cordon_core::fleet::Selector;
use cordon_core::{duration, topic};
use cordon_proto::v1::{self, IsolateRequest, IsolateResponse};
use serde::Serialize;
use std::time::Duration;

/// How many names a sentence lists before it counts the rest.
const NAMES_SHOWN: usize = 20;

/// Cut things off from the fleet, at once and both ways. The remediation topics stay open unless the level is disconnect.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cordon isolate --thing press-01 --level quarantine --for 10m \\
      --reason \"behaves oddly\"
  cordon isolate --group line-1 --level restrict --block 'plant/+/cmd/#' \\
      --reason \"no commands at night\"
  cordon isolate --version '<1.3.0' --level disconnect --dry-run
  cordon isolate --attribute site=west --level audit --for 1d \\
      --reason \"what would it cut?\"

`cordon orders` lists what is in force; `cordon release ID` ends it early.")]
pub(crate) struct IsolateArgs {
    #[command(flatten)]
    selector: SelectorArgs,
    /// How much is cut.
    #[arg(long, value_enum)]
    level: Level,
    /// With --level restrict: a topic filter to cut. May be repeated.
    #[arg(long, value_name = "FILTER", value_parser = filter, required_if_eq("level", "restrict"))]
    block: Vec<String>,
    /// How long: 10m, 2h30m, 7d [default: until it is released].
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    lasts: Option<Duration>,
    /// Why, for the audit trail.
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    reason: Option<String>,
    /// Change nothing; say what the order would select.
    #[arg(long)]
    dry_run: bool,
}

/// Which things.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
struct SelectorArgs {
    /// The thing of this name.
    #[arg(long, value_name = "NAME", value_parser = |text: &str| selector("thing", text))]
    thing: Option<Selector>,
    /// Every thing in this group.
    #[arg(long, value_name = "NAME", value_parser = |text: &str| selector("group", text))]
    group: Option<Selector>,
    /// Every thing of this type.
    #[arg(long = "type", value_name = "NAME", value_parser = |text: &str| selector("type", text))]
    thing_type: Option<Selector>,
    /// Every thing whose firmware is in this range: '<1.3.0', '>=1.2, <1.3', '1.2.*'.
    #[arg(long, value_name = "RANGE", value_parser = |text: &str| selector("version", text))]
    version: Option<Selector>,
    /// Every thing with this attribute.
    #[arg(long, value_name = "NAME=VALUE", value_parser = |text: &str| selector("attribute", text))]
    attribute: Option<Selector>,
}

/// How much an isolation order cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    /// Nothing; only record what would be cut.
    Audit,
    /// The topic filters of --block.
    Restrict,
    /// Everything but the remediation topics (shadow and jobs).
    Quarantine,
    /// Everything; the things are not let in.
    Disconnect,
}

#[derive(Serialize)]
struct View {
    dry_run: bool,
    order: Option<OrderView>,
    things: Vec<String>,
    sessions: Vec<String>,
    protected: Vec<String>,
}

pub(crate) async fn run(args: IsolateArgs, gateway: &mut Client, out: &mut Output) -> Result<(), Failure> {
    if !args.block.is_empty() && args.level != Level::Restrict {
        return Err(Failure::Usage("--block belongs to --level restrict; leave it out or change the level".into()));
    }
    let dry_run = args.dry_run;
    let selector = args.selector.chosen()?;
    let request = IsolateRequest {
        selector: selector.clone(),
        level: args.level.wire().into(),
        block: args.block,
        duration_ms: args.lasts.map(clock::millis),
        reason: args.reason.unwrap_or_default(),
        dry_run,
    };
    let answer = gateway.isolate(call(request)).await?.into_inner();
    if out.is_json() {
        return out.json(&View::new(dry_run, answer));
    }
    tell(&selector, args.level, answer, out)
}

fn tell(selector: &str, level: Level, answer: IsolateResponse, out: &mut Output) -> Result<(), Failure> {
    let level = level.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
    let id = match answer.order {
        Some(order) => {
            let until = order.expires_unix_ms.map_or_else(|| "released".to_owned(), clock::utc);
            out.line(&harmless(&format!("{} is in force: {level} of {selector} until {until}.", order.id)))?;
            Some(order.id)
        }
        None => {
            out.line(&harmless(&format!("Nothing was changed. {level} of {selector} would select:")))?;
            None
        }
    };
    out.line(&counted("thing", &answer.things))?;
    out.line(&counted("connected session", &answer.sessions))?;
    if !answer.protected.is_empty() {
        out.line(&format!("Protected by the configuration and left alone: {}", names(&answer.protected)))?;
    }
    if answer.things.is_empty() {
        out.line("No thing fits at the moment; one that comes to fit later is selected then.")?;
    }
    match id {
        Some(id) => out.line(&harmless(&format!("To end it early: cordon release {id} --reason TEXT"))),
        None => Ok(()),
    }
}

fn counted(what: &str, found: &[String]) -> String {
    match found {
        [] => format!("0 {what}s"),
        [one] => format!("1 {what}: {}", harmless(one)),
        more => format!("{} {what}s: {}", more.len(), names(more)),
    }
}

fn names(found: &[String]) -> String {
    let shown: Vec<&str> = found.iter().take(NAMES_SHOWN).map(String::as_str).collect();
    let rest = found.len().saturating_sub(NAMES_SHOWN);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    harmless(&shown.join(", ")) + &more
}

fn selector(kind: &str, text: &str) -> Result<Selector, String> {
    format!("{kind}:{text}").parse().map_err(|error: cordon_core::fleet::SelectorError| error.to_string())
}

fn filter(text: &str) -> Result<String, String> {
    if topic::is_valid_filter(text) {
        return Ok(text.to_owned());
    }
    Err("no topic filter: `+` and `#` stand alone in their level, and `#` comes last".into())
}

// === impl SelectorArgs ===

impl SelectorArgs {
    fn chosen(self) -> Result<String, Failure> {
        let Self { thing, group, thing_type, version, attribute } = self;
        let chosen = thing.or(group).or(thing_type).or(version).or(attribute);
        chosen
            .map(|selector| selector.to_string())
            .ok_or_else(|| Failure::Usage("say which things: --thing, --group, --type, --version, --attribute".into()))
    }
}

// === impl Level ===

impl Level {
    fn wire(self) -> v1::Level {
        match self {
            Self::Audit => v1::Level::Audit,
            Self::Restrict => v1::Level::Restrict,
            Self::Quarantine => v1::Level::Quarantine,
            Self::Disconnect => v1::Level::Disconnect,
        }
    }
}

// === impl View ===

impl View {
    fn new(dry_run: bool, answer: IsolateResponse) -> Self {
        Self {
            dry_run,
            order: answer.order.map(OrderView::from),
            things: answer.things,
            sessions: answer.sessions,
            protected: answer.protected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_things_are_counted_and_only_the_first_are_named() {
        let things: Vec<String> = (0..25).map(|number| format!("t{number}")).collect();
        let text = counted("thing", &things);
        assert!(text.starts_with("25 things: t0, t1,"), "{text}");
        assert!(text.ends_with("t19 and 5 more"), "{text}");
        assert_eq!(counted("thing", &[]), "0 things");
        assert_eq!(counted("thing", &["press-01".to_owned()]), "1 thing: press-01");
    }
}
