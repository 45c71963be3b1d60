//! `cordon explain`.

use super::connect::{Client, call};
use super::failure::Failure;
use super::output::Output;
use super::table::{Cell, Tone};
use clap::Args;
use cordon_proto::v1::{Action, ExplainRequest, ExplainResponse, MatchingStatement};
use serde::Serialize;

/// Say whether a client may do something, and by which rule. Changes nothing; ends with 0 whatever the answer is.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cordon explain --thing press-01 --publish plant/line-1/press-01/telemetry
  cordon explain --thing press-01 --subscribe 'plant/#'
  cordon explain --thing press-01 --client-id other-id --connect
  cordon explain --client-id press-01 --receive plant/line-1/cmd -o json")]
pub(crate) struct ExplainArgs {
    /// The thing.
    #[arg(long, value_name = "NAME", required_unless_present = "client_id")]
    thing: Option<String>,
    /// The client id; without --thing that of a session [default: the thing's name].
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    #[command(flatten)]
    act: ActArgs,
}

/// What it wants to do.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
struct ActArgs {
    /// May it publish to this topic?
    #[arg(long, value_name = "TOPIC")]
    publish: Option<String>,
    /// May it publish to this topic with the retain flag?
    #[arg(long, value_name = "TOPIC")]
    retain: Option<String>,
    /// May it subscribe to this topic filter?
    #[arg(long, value_name = "FILTER")]
    subscribe: Option<String>,
    /// May it receive from this topic?
    #[arg(long, value_name = "TOPIC")]
    receive: Option<String>,
    /// May it connect?
    #[arg(long)]
    connect: bool,
}

#[derive(Serialize)]
struct View {
    allowed: bool,
    decision: String,
    rule: String,
    principal: String,
    client_id: String,
    action: String,
    resource: String,
    statements: Vec<Statement>,
    would_be_cut_by: Option<String>,
}

#[derive(Serialize)]
struct Statement {
    policy: String,
    statement: String,
    effect: String,
}

pub(crate) async fn run(args: ExplainArgs, gateway: &mut Client, out: &mut Output) -> Result<(), Failure> {
    let (action, resource) = args.act.chosen();
    let request = ExplainRequest {
        thing: args.thing.unwrap_or_default(),
        client_id: args.client_id.unwrap_or_default(),
        action: action.into(),
        resource,
    };
    let view = View::from(gateway.explain(call(request)).await?.into_inner());
    if out.is_json() { out.json(&view) } else { out.pairs(&view.rows()) }
}

// === impl ActArgs ===

impl ActArgs {
    fn chosen(self) -> (Action, String) {
        let Self { publish, retain, subscribe, receive, connect: _ } = self;
        let asked = [
            (Action::Publish, publish),
            (Action::RetainPublish, retain),
            (Action::Subscribe, subscribe),
            (Action::Receive, receive),
        ];
        let asked = asked.into_iter().find_map(|(action, resource)| resource.map(|resource| (action, resource)));
        asked.unwrap_or((Action::Connect, String::new()))
    }
}

// === impl View ===

impl View {
    fn rows(&self) -> Vec<(&'static str, Cell)> {
        let tone = if self.allowed { Tone::Good } else { Tone::Bad };
        let statements: Vec<String> = self
            .statements
            .iter()
            .map(|it| format!("{} policy {} statement {}", it.effect, it.policy, it.statement))
            .collect();
        let mut rows = vec![
            ("Decision", Cell::toned(self.decision.clone(), tone)),
            ("Rule", if self.rule.is_empty() { "-".into() } else { self.rule.clone().into() }),
            ("Who", format!("{} as client {}", self.principal, self.client_id).into()),
            ("What", format!("{} {}", self.action, self.resource).into()),
            ("Statements", if statements.is_empty() { "none matches".into() } else { Cell::list(&statements) }),
        ];
        if let Some(order) = &self.would_be_cut_by {
            rows.push(("Audit", Cell::toned(format!("{order} would cut it, were it not at level audit"), Tone::Warn)));
        }
        rows
    }
}

impl From<ExplainResponse> for View {
    fn from(answer: ExplainResponse) -> Self {
        Self {
            allowed: answer.allowed,
            decision: answer.decision,
            rule: answer.rule,
            principal: answer.principal,
            client_id: answer.client_id,
            action: answer.action,
            resource: answer.resource,
            statements: answer.statements.into_iter().map(Statement::from).collect(),
            would_be_cut_by: answer.would_be_cut_by,
        }
    }
}

impl From<MatchingStatement> for Statement {
    fn from(found: MatchingStatement) -> Self {
        Self { policy: found.policy, statement: found.statement, effect: found.effect }
    }
}
