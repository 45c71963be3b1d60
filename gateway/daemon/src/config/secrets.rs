//! Files that hold a secret: nobody but their owner may read them.

use super::{Config, Problem};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Looks at every private key that `config` names.
pub(super) fn check(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut look = |key: &str, path: &Path| {
        if let Some((problem, help)) = fault(path) {
            problems.push(config.problem(key, problem, help));
        }
    };
    for listener in &config.listeners {
        if let Some(tls) = &listener.tls {
            look(&format!("listener {}: tls.key", listener.name), &tls.key);
        }
    }
    if let Some(control) = &config.control {
        look("control.key", &control.key);
    }
    if let Some(uplink) = &config.uplink {
        look("uplink.key", &uplink.link.key);
    }
    problems
}

/// What is wrong with how a secret file is kept, and what to do. An empty path was told about before.
///
/// As PostgreSQL has it: nothing for group and others, or at most reading for the group when root owns the file, which
/// is how a service account is given a key that it cannot replace.
pub(super) fn fault(path: &Path) -> Option<(String, String)> {
    if path.as_os_str().is_empty() {
        return None;
    }
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) => return Some(unreadable(path, &error)),
    };
    let open_to_others = if meta.uid() == 0 { 0o037 } else { 0o077 };
    if meta.mode() & open_to_others == 0 {
        return None;
    }
    let problem =
        format!("{} has mode {:04o}, so others can get at the secret in it", path.display(), meta.mode() & 0o7777);
    Some((problem, format!("run: chmod 600 {}", path.display())))
}

/// What to say about a file that the system does not give.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> (String, String) {
    let help = match error.kind() {
        io::ErrorKind::NotFound => "put the file there, or correct the path",
        io::ErrorKind::PermissionDenied => "give the account that runs cordon the right to read it",
        _ => "correct the path, or check the disk",
    };
    (format!("{} cannot be read: {error}", path.display()), help.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_secret_that_others_can_read_is_refused_with_the_command_that_helps() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.key");
        fs::write(&path, "secret").unwrap();
        for (mode, good) in [(0o600, true), (0o400, true), (0o644, false), (0o660, false), (0o604, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let fault = fault(&path);
            assert_eq!(fault.is_none(), good, "{mode:o}");
            if let Some((problem, help)) = fault {
                assert!(problem.contains(&format!("{mode:04o}")), "{problem}");
                assert!(help.starts_with("run: chmod 600 "), "{help}");
            }
        }
    }

    #[test]
    fn a_secret_that_is_not_there_says_so() {
        let (problem, help) = fault(Path::new("/nowhere/server.key")).unwrap();
        assert!(problem.starts_with("/nowhere/server.key cannot be read"), "{problem}");
        assert_eq!(help, "put the file there, or correct the path");
    }
}
