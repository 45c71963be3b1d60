//! Node on this machine with MQTT.js, which `.ci/run tools` installs beside the build. Nothing is installed here.

use crate::mosquitto::installed;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What of the two is not installed.
#[must_use]
pub fn missing() -> Option<&'static str> {
    if installed("node").is_none() {
        return Some("node");
    }
    modules().is_none().then_some("the npm package mqtt")
}

/// Node, which finds the package.
///
/// # Errors
/// When one of the two is not installed.
pub fn node() -> Result<Command> {
    let mut command = Command::new(installed("node").context("node is not installed")?);
    command.env("NODE_PATH", modules().context("the npm package mqtt is not installed")?);
    Ok(command)
}

/// The folder of packages: of `NODE_PATH`, or that in `ci/node` of the target folder that this test was built in.
fn modules() -> Option<PathBuf> {
    let given = std::env::var_os("NODE_PATH").unwrap_or_default();
    let test = std::env::current_exe().ok();
    let target =
        test.as_deref().and_then(|test| test.ancestors().nth(3)).map(|target| target.join("ci/node/node_modules"));
    let has_package = |folder: &PathBuf| Path::new(folder).join("mqtt/package.json").is_file();
    std::env::split_paths(&given).chain(target).find(has_package)
}
