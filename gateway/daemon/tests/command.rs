//! The command itself, without a gateway: help, exit codes, and what it says when there is nothing to talk to.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::process::{Command, Output};

fn cordon(arguments: &[&str]) -> Output {
    let nowhere = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
    command.current_dir(nowhere.path()).env("HOME", nowhere.path()).env_remove("CORDON_CONTEXT");
    command.args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_command_explains_itself_with_examples() {
    for command in
        ["serve", "check", "events", "alarms", "isolate", "orders", "release", "findings", "explain", "status"]
    {
        let answer = cordon(&[command, "--help"]);
        assert!(answer.status.success(), "{command}");
        let help = text(&answer.stdout);
        assert!(help.contains("Example"), "{command}: {help}");
    }
}

#[test]
fn wrong_usage_is_exit_code_2() {
    assert_eq!(cordon(&["isolate", "--nonsense"]).status.code(), Some(2));
    assert_eq!(cordon(&["frobnicate"]).status.code(), Some(2));
}

#[test]
fn without_a_gateway_in_sight_it_says_how_to_name_one() {
    let answer = cordon(&["status"]);
    assert_ne!(answer.status.code(), Some(0));
    let error = text(&answer.stderr);
    assert!(error.contains("--endpoint") || error.contains("context"), "{error}");
}
