//! What a measurement needs beforehand: certificates, and ports that are free.

use crate::Options;
use anyhow::{Context, Result};
use cordon_tests::pki::Pki;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

/// Makes `devices/` with the gateway's certificate and one for each name, and `operators/` with an operator's.
pub(crate) fn pki(options: &Options) -> Result<String> {
    let dir = Path::new(options.needed("dir")?);
    let devices = Pki::create(&dir.join("devices"), "bench devices")?;
    devices.server("gateway", &["localhost", "127.0.0.1"])?;
    let names: Vec<&str> = options.needed("names")?.split(',').collect();
    for name in &names {
        devices.client(name)?;
    }
    Pki::create(&dir.join("operators"), "bench operators")?.client("operator")?;
    Ok(format!("{} certificates in {}", names.len() + 2, dir.display()))
}

/// Ports that nobody listened on a moment ago, all different.
pub(crate) fn ports(options: &Options) -> Result<String> {
    let held: Vec<TcpListener> = (0..options.number("count", 1)?)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<Result<_, _>>()
        .context("no port is free")?;
    let ports: Vec<String> =
        held.iter().map(|socket| Ok(socket.local_addr()?.port().to_string())).collect::<Result<_>>()?;
    Ok(ports.join(" "))
}
