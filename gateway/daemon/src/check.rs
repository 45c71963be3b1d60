//! `cordon check`: reads everything a start would read, touches nothing, and tells all that is wrong at once.

use crate::clock;
use crate::config::{Config, ConfigError, Problem, Rules};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Checks the configuration `file` and reports on standard output. Exit code 0 when a gateway could start with it,
/// warnings or not, else 1.
pub(crate) fn run(file: &Path) -> ExitCode {
    match report(file, &mut io::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        // A reader that went away has no use for the rest; the answer stays no.
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

/// Reads everything a start needs from the configuration `file`. What [`run`] calls an error is an error here.
///
/// # Errors
/// Everything that is wrong, sorted by file and line.
pub(crate) fn load(file: &Path) -> Result<(Config, Rules), ConfigError> {
    let (config, mut problems) = Config::draft(file)?;
    let (rules, wrong_rules) = draft(&config);
    problems.extend(wrong_rules);
    ConfigError::of(problems)?;
    Ok((config, rules))
}

/// Reads the rules that `config` names, and looks at its TLS files.
///
/// # Errors
/// Everything that is wrong with them, sorted by file and line.
pub(crate) fn rules(config: &Config) -> Result<Rules, ConfigError> {
    let (rules, problems) = draft(config);
    ConfigError::of(problems)?;
    Ok(rules)
}

fn draft(config: &Config) -> (Rules, Vec<Problem>) {
    let (mut rules, mut problems) = Rules::draft(config);
    let (wrong, soon) = config.check_tls(clock::now());
    problems.extend(wrong);
    rules.warnings.extend(soon);
    (rules, problems)
}

/// Writes the report to `out` and says whether the configuration can be used.
fn report(file: &Path, out: &mut dyn Write) -> io::Result<bool> {
    let (config, mut problems) = match Config::draft(file) {
        Ok(draft) => draft,
        Err(error) => return refused(&error, out),
    };
    let (rules, wrong_rules) = draft(&config);
    problems.extend(wrong_rules);
    let mut warnings: Vec<&Problem> = config.warnings.iter().chain(&rules.warnings).collect();
    warnings.sort();
    for warning in warnings {
        writeln!(out, "warning: {warning}")?;
    }
    if let Err(error) = ConfigError::of(problems) {
        return refused(&error, out);
    }
    summary(&config, &rules, out)?;
    Ok(true)
}

fn refused(error: &ConfigError, out: &mut dyn Write) -> io::Result<bool> {
    for problem in &error.problems {
        writeln!(out, "error: {problem}")?;
    }
    let count = error.problems.len();
    writeln!(out, "{count} {}; nothing was changed.", if count == 1 { "error" } else { "errors" })?;
    Ok(false)
}

fn summary(config: &Config, rules: &Rules, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} can be used.", config.file.display())?;
    writeln!(out, "  gateway   {}, data in {}", config.gateway.name, config.gateway.data_dir.display())?;
    for listener in &config.listeners {
        let tls = if listener.tls.is_some() { "TLS" } else { "plain" };
        writeln!(out, "  listener  {} on {}, {tls}, {}", listener.name, listener.bind, listener.auth.name())?;
    }
    if let Some(control) = &config.control {
        writeln!(out, "  control   on {}, operators: {}", control.bind, config.operators.len())?;
    }
    if let Some(metrics) = &config.metrics {
        writeln!(out, "  metrics   on {}", metrics.bind)?;
    }
    if let Some(uplink) = &config.uplink {
        writeln!(out, "  uplink    to {}:{} as {}", uplink.link.host, uplink.link.port, uplink.link.gateway)?;
    }
    writeln!(
        out,
        "  rules     things: {}, groups: {}, passwords: {}, policies: {}, profiles: {}, baselines: {}",
        rules.registry.things.len(),
        rules.registry.groups.len(),
        rules.passwords.len(),
        rules.policies.len(),
        rules.profiles.len(),
        rules.baselines.len(),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]
    use super::*;
    use crate::dev::{self, Ports};
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    fn checked(file: &Path) -> (bool, String) {
        let mut out = Vec::new();
        let good = report(file, &mut out).unwrap();
        (good, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_good_configuration_is_summed_up() {
        let dir = tempfile::tempdir().unwrap();
        dev::prepare(dir.path(), Ports::default()).unwrap();
        let (good, said) = checked(&dir.path().join("cordon.toml"));
        assert!(good, "{said}");
        for line in ["listener  plain on 127.0.0.1:1883, plain, password", "things: 3, groups: 2, passwords: 3"] {
            assert!(said.contains(line), "{said}");
        }
        assert!(!said.contains("warning"), "{said}");
    }

    #[test]
    fn mistakes_in_several_files_are_told_in_one_go() {
        let dir = tempfile::tempdir().unwrap();
        dev::prepare(dir.path(), Ports::default()).unwrap();
        let edit = |file: &str, from: &str, to: &str| {
            let path = dir.path().join(file);
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(from), "{file}: {text}");
            fs::write(&path, text.replacen(from, to, 1)).unwrap();
        };
        edit("cordon.toml", "[journal]", "[jurnal]");
        edit("fleet.toml", "\"controller\"", "\"controler\"");
        edit("policies/device.json", "iot:Connect", "iot:Conect");
        edit("profiles/plant.json", "less-than", "les-than");
        edit("baselines/hardened.toml", "deadline =", "deadlin =");
        fs::write(dir.path().join("tls/server.pem"), "nonsense").unwrap();
        fs::set_permissions(dir.path().join("passwords.toml"), fs::Permissions::from_mode(0o644)).unwrap();
        let (good, said) = checked(&dir.path().join("cordon.toml"));
        assert!(!good);
        for part in [
            "jurnal: unknown key; did you mean \"journal\"?",
            "fleet.toml:34: thing pump-01: policies: there is no policy \"controler\"; did you mean \"controller\"?",
            "did you mean \"iot:Connect\"?",
            "plant.json:",
            "hardened.toml:",
            "tls.certificate:",
            "run: chmod 600",
        ] {
            assert!(said.contains(part), "{part} is not in:\n{said}");
        }
        assert!(!said.contains("no policy \"device\"") && !said.contains("no security profile"), "{said}");
    }

    #[test]
    fn a_file_that_is_not_there_is_told_as_such() {
        let (good, said) = checked(Path::new("/nowhere/cordon.toml"));
        assert!(!good);
        assert!(said.starts_with("error: /nowhere/cordon.toml: cannot be read: No such file"), "{said}");
    }
}
