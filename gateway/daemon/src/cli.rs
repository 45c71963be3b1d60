//! The `cordon` command line.
//!
//! `serve` and `check` are the daemon's own; everything else is a [`ClientCommand`], which talks gRPC to a running
//! gateway (or, for `passwd` and `completions`, to nobody). A client command answers on standard output, explains
//! failures on standard error with what to do next, and ends with one of the exit codes that `--help` lists.

mod alarms;
mod check;
mod clock;
mod completions;
mod connect;
mod context;
mod dispatch;
mod events;
mod explain;
mod failure;
mod findings;
mod global;
mod isolate;
mod journal;
mod orders;
mod output;
mod passwd;
mod reload;
mod serve;
mod sessions;
mod status;
mod table;
mod things;

pub(crate) use check::CheckArgs;
pub(crate) use dispatch::run_client;
pub(crate) use global::Global;
pub(crate) use serve::ServeArgs;

use clap::{Parser, Subcommand};

const AFTER_HELP: &str = "\
Which gateway, and as whom: --endpoint, --ca, --cert and --key; what they leave open comes from the context file \
(--context, $CORDON_CONTEXT, ~/.config/cordon/context.toml), and without one from ./cordon-dev (see --dev-dir).

Exit codes: 0 done; 1 failed, or refused by the gateway; 2 wrong usage; 3 no gateway reached; 4 not permitted.

Examples:
  cordon serve --dev                           a gateway to try, in this folder
  cordon status                                is all well?
  cordon events --since 10m --code AUTH        who was refused lately?
  cordon isolate --thing press-01 --level quarantine --for 10m \\
      --reason \"behaves oddly\"";

/// An edge security gateway for local MQTT fleets: the daemon, and the command that manages it.
#[derive(Debug, Parser)]
#[command(name = "cordon", version, after_help = AFTER_HELP, disable_help_subcommand = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "parsed once")]
pub(crate) enum Command {
    /// Run the gateway.
    Serve(ServeArgs),
    /// Check a configuration without starting anything.
    Check(CheckArgs),
    /// Manage a running gateway.
    #[command(flatten)]
    Client(ClientCommand),
}

/// What the command line does as a client.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    /// Say how the gateway is: what is connected, isolated, alarming or degraded.
    Status(status::StatusArgs),
    /// List recorded security events, or follow them as they come.
    Events(events::EventsArgs),
    /// List alarms: what was seen, and what is normal.
    Alarms(alarms::AlarmsArgs),
    /// Cut things off: a thing, a group, a type, a firmware version range or an attribute.
    Isolate(isolate::IsolateArgs),
    /// List isolation orders.
    Orders(orders::OrdersArgs),
    /// End an isolation order before its time.
    Release(orders::ReleaseArgs),
    /// List deviations from baselines and how far their remediation is.
    Findings(findings::FindingsArgs),
    /// List the registered things with connection, firmware, isolation and compliance.
    Things(things::ThingsArgs),
    /// Show a thing's shadow document.
    Shadow(things::ShadowArgs),
    /// List MQTT sessions.
    Sessions(sessions::SessionsArgs),
    /// End a client's connection; it may connect again.
    Disconnect(sessions::DisconnectArgs),
    /// Say whether a client may do something, and by which rule.
    Explain(explain::ExplainArgs),
    /// Work with the journal of security events.
    Journal(journal::JournalArgs),
    /// Let the gateway take a changed configuration over.
    Reload(reload::ReloadArgs),
    /// Hash a password for the configuration.
    Passwd(passwd::PasswdArgs),
    /// Print completions for a shell.
    Completions(completions::CompletionsArgs),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent_and_every_command_shows_examples() {
        Cli::command().debug_assert();
        for command in Cli::command().get_subcommands() {
            let nested = command.get_subcommands().next().unwrap_or(command);
            let help = nested.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "`cordon {}` shows no example", command.get_name());
            for line in help.lines().filter(|line| line.starts_with(' ')) {
                assert!(line.chars().count() <= 80, "an example would be broken at 80 columns: {line}");
            }
        }
    }

    #[test]
    fn the_lines_of_the_manual_parse() {
        for line in [
            "cordon serve --dev --dev-dir /tmp/a --mqtt-port 1884 --control-port 7444",
            "cordon check --config cordon.toml",
            "cordon events --since 10m --thing press-01 --code AUTH --output json",
            "cordon events --follow --severity warning",
            "cordon isolate --thing press-01 --level quarantine --for 10m --reason test",
            "cordon isolate --version <1.3.0 --level audit --dry-run",
            "cordon isolate --group line-1 --level restrict --block plant/+/cmd/# --reason test",
            "cordon orders --all",
            "cordon release iso-1 --reason done",
            "cordon disconnect press-01",
            "cordon explain --thing press-01 --publish plant/line-1/press-01/telemetry",
            "cordon explain --thing press-01 --connect",
            "cordon shadow press-01",
            "cordon journal verify",
            "cordon completions bash",
        ] {
            Cli::try_parse_from(line.split(' ')).map_err(|error| format!("{line}: {error}")).unwrap();
        }
    }

    #[test]
    fn orders_and_questions_that_make_no_sense_are_wrong_usage() {
        for line in [
            "cordon isolate --level quarantine --reason nobody",
            "cordon isolate --thing a --group b --level quarantine --reason both",
            "cordon isolate --thing a --level quarantine",
            "cordon isolate --thing a --level total --reason test",
            "cordon isolate --thing a --level quarantine --for 10 --reason unit",
            "cordon isolate --version 1..3 --level quarantine --reason range",
            "cordon explain --thing a",
            "cordon explain --thing a --publish t --subscribe f",
            "cordon events --code NONSENSE",
            "cordon events --since yesterday",
            "cordon serve --dev --config cordon.toml",
        ] {
            let error = Cli::try_parse_from(line.split(' ')).err().map(|error| error.exit_code());
            assert_eq!(error, Some(2), "{line}");
        }
    }
}
