//! `cordon events`.

mod follow;
mod view;

use super::clock::When;
use super::connect::{Client, call};
use super::failure::Failure;
use super::global::Global;
use super::output::{Output, note};
use super::table::{Cell, Record};
use clap::Args;
use cordon_core::event::{CATALOGUE, Entry, Severity};
use cordon_core::fleet::nearest;
use cordon_proto::v1;
use cordon_proto::v1::list_events_request::{Since, Until};
use serde::Serialize;
use view::View;

const USUAL_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 10_000;

/// List recorded security events, oldest first; the newest ones if there are more than --limit.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cordon events --since 10m --thing press-01 --code AUTH
  cordon events --follow --severity warning    as they come, until Ctrl-C
  cordon events --since 2026-01-31T08:00:00Z --until 2026-01-31T09:00:00Z
  cordon events --since 1d --output json | jq -r .code | sort | uniq -c
  cordon events --list-codes                   what each code means

With --output json each event is one object on its own line.")]
pub(crate) struct EventsArgs {
    /// Begin so long ago (10m, 2h30m, 7d) or at a time (2026-01-31T08:00:00Z).
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
    /// End so long ago, or at a time.
    #[arg(long, value_name = "WHEN", conflicts_with = "follow")]
    until: Option<When>,
    /// Only events about this thing.
    #[arg(long, value_name = "NAME")]
    thing: Option<String>,
    /// Only events about this MQTT client id.
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Only events of this code, or of the codes that begin so: AUTH, ISOLATION_ORDERED. May be repeated.
    #[arg(long = "code", value_name = "CODE", value_parser = known_code)]
    codes: Vec<String>,
    /// Only events at least so urgent: info, notice, warning, error, critical.
    #[arg(long, value_name = "SEVERITY")]
    severity: Option<Severity>,
    /// At most so many [default: 100].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_LIMIT)))]
    limit: Option<u32>,
    /// Go on with new events as they come, until Ctrl-C; without --since and --limit only those.
    #[arg(long, short)]
    follow: bool,
    /// List the codes and what they mean; asks no gateway.
    #[arg(long, exclusive = true)]
    pub(crate) list_codes: bool,
}

#[derive(Serialize)]
struct CodeRow {
    code: &'static str,
    severity: &'static str,
    meaning: &'static str,
    advice: &'static str,
}

// === impl EventsArgs ===

impl EventsArgs {
    fn filter(&self) -> v1::EventFilter {
        v1::EventFilter {
            thing: self.thing.clone(),
            client_id: self.client_id.clone(),
            codes: self.codes.clone(),
            min_severity: self.severity.map(|severity| v1::Severity::from(severity).into()),
        }
    }

    fn request(&self, limit: u32) -> v1::ListEventsRequest {
        v1::ListEventsRequest {
            filter: Some(self.filter()),
            since: self.since.map(|since| match since {
                When::Ago(millis) => Since::SinceAgoMs(millis),
                When::At(at) => Since::SinceUnixMs(at),
            }),
            until: self.until.map(|until| match until {
                When::Ago(millis) => Until::UntilAgoMs(millis),
                When::At(at) => Until::UntilUnixMs(at),
            }),
            after_seq: None,
            limit,
        }
    }
}

pub(crate) async fn run(
    args: EventsArgs,
    mut gateway: Client,
    global: &Global,
    out: &mut Output,
) -> Result<(), Failure> {
    if !args.follow {
        let (count, _) = list(&args, &mut gateway, out).await?;
        if count == 0 && !out.is_json() {
            out.line("No such events. `cordon events --list-codes` lists what there is to look for.")?;
        }
        return Ok(());
    }
    // Read before the list, so that nothing can fall between the two.
    let mut last = gateway.status(call(v1::StatusRequest {})).await?.into_inner().journal_last_seq;
    if args.since.is_some() || args.limit.is_some() {
        last = last.max(list(&args, &mut gateway, out).await?.1);
    }
    follow::run(args.filter(), last, gateway, global, out).await
}

pub(crate) fn list_codes(out: &mut Output) -> Result<(), Failure> {
    let rows: Vec<CodeRow> = CATALOGUE.iter().map(CodeRow::from).collect();
    out.records(&rows, "")
}

/// Writes the selected events; returns how many there were and the last one's place in the journal.
async fn list(args: &EventsArgs, gateway: &mut Client, out: &mut Output) -> Result<(u32, u64), Failure> {
    let limit = args.limit.unwrap_or(USUAL_LIMIT);
    let mut events = gateway.list_events(call(args.request(limit))).await?.into_inner();
    let (mut count, mut last) = (0, 0);
    while let Some(event) = events.message().await? {
        count += 1;
        last = event.seq;
        show(event, out)?;
    }
    if count == limit && args.limit.is_none() {
        note(&format!("These are the newest {limit}; --limit shows more."));
    }
    Ok((count, last))
}

fn show(event: v1::RecordedEvent, out: &mut Output) -> Result<(), Failure> {
    let Some(view) = View::new(event) else { return Ok(()) };
    if out.is_json() { out.json(&view) } else { view.write(out) }
}

fn known_code(text: &str) -> Result<String, String> {
    if !text.is_empty() && CATALOGUE.iter().any(|entry| entry.code.matches(text)) {
        return Ok(text.to_ascii_uppercase());
    }
    let upper = text.to_ascii_uppercase();
    let help = nearest(&upper, CATALOGUE.iter().map(|entry| entry.name)).map(|name| format!("; did you mean {name}"));
    Err(format!("no code begins so{}; `cordon events --list-codes` lists them", help.unwrap_or_default()))
}

// === impl CodeRow ===

impl From<&Entry> for CodeRow {
    fn from(entry: &Entry) -> Self {
        Self { code: entry.name, severity: entry.severity.name(), meaning: entry.meaning, advice: entry.advice }
    }
}

impl Record for CodeRow {
    const COLUMNS: &'static [&'static str] = &["CODE", "SEVERITY", "MEANING"];

    fn cells(&self) -> Vec<Cell> {
        vec![self.code.into(), Cell::toned(self.severity, view::tone(self.severity)), self.meaning.into()]
    }
}
