//! What years in a plant do to a gateway, in short: memory that does not grow with what devices send.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use anyhow::{Context, Result, ensure};
use cordon_tests::device::Device;
use cordon_tests::gateway::Gateway;
use std::fs;

/// Memory of the process that no file backs, in KiB (proc(5), `RssAnon`).
fn memory(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon")?;
    Ok(line.trim_end_matches("kB").trim().parse()?)
}

#[tokio::test]
async fn memory_stays_flat_while_a_permitted_client_publishes_to_ever_new_topics() -> Result<()> {
    const ROUND: u32 = 100_000;
    let gateway = Gateway::start()?;
    let pid = gateway.pid().context("not running")?;
    let mut subscriber = Device::connect(&gateway.by_password("pump-01")?).await?;
    subscriber.subscribed("plant/+/telemetry/last/#", 0).await?;
    let mut publisher = Device::connect(&gateway.by_password("press-01")?).await?;
    let mut after = Vec::new();
    for round in 0..4 {
        for batch in 0..ROUND / 1000 {
            let name = |number| format!("plant/press-01/telemetry/{}/{number}", round * ROUND + batch * 1000);
            let burst: Vec<u8> = (0..1000).flat_map(|number| Device::encoded(&name(number), b"x").to_vec()).collect();
            publisher.send(&burst).await?;
        }
        publisher.publish(&format!("plant/press-01/telemetry/last/{round}"), b"x", 1).await?;
        subscriber.message().await?;
        after.push(memory(pid)?);
    }
    // The first round fills the caches, whose bounds are stated in docs/architecture.md.
    let grown = after[3].saturating_sub(after[0]);
    ensure!(grown < 4 * 1024, "{grown} KiB more after 300,000 further topics: {after:?}");
    Ok(())
}
