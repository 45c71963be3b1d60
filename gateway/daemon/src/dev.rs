//! `cordon serve --dev`: everything a gateway needs, made in one folder on the first start and used again afterwards.
//!
//! What is there is never overwritten: edits stay. A file that is missing is made again, and a pair whose key is missing
//! is made again as a whole, because a certificate is of no use without its key. The folder has mode 0700; private keys
//! and passwords have mode 0600.
//!
//! Two authorities are made: `ca.pem` signs the server's and the devices' certificates, `operator-ca.pem` signs the
//! operator's. A device can therefore never pass for an operator, and `ca.pem` is all that a client of any kind trusts.

mod banner;
mod files;
mod passwords;
mod pki;

pub(crate) use banner::banner;

use crate::config::Config;
use anyhow::{Context as _, Result, anyhow};
use pki::{Authority, Leaf};
use std::path::{Path, PathBuf};

/// The folder that `--dev` uses when nobody says otherwise.
pub(crate) const DEFAULT_DIR: &str = "cordon-dev";

/// The devices of the small plant in the folder.
const THINGS: [&str; 3] = ["press-01", "press-02", "pump-01"];

/// The listeners of the folder's configuration, by the port flag that moves them.
const PLAIN: &str = "plain";
const TLS: &str = "tls";

/// Files that are the same in every folder, by their place in it.
const TEXTS: [(&str, &str); 5] = [
    ("fleet.toml", include_str!("../../../config/fleet.toml")),
    ("policies/device.json", include_str!("../../../config/policies/device.json")),
    ("policies/controller.json", include_str!("../../../config/policies/controller.json")),
    ("profiles/plant.json", include_str!("../../../config/profiles/plant.json")),
    ("baselines/hardened.toml", include_str!("../../../config/baselines/hardened.toml")),
];

/// Ports given on the command line. Those that are not given are the file's, or the usual ones in a new file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ports {
    /// For MQTT with user name and password; 1883.
    pub(crate) mqtt: Option<u16>,
    /// For MQTT over TLS with client certificates; 8883.
    pub(crate) mqtts: Option<u16>,
    /// For the management interface; 7443.
    pub(crate) control: Option<u16>,
    /// For metrics; 9464.
    pub(crate) metrics: Option<u16>,
}

/// A folder that a gateway can serve from.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    /// The folder, as it was given.
    pub(crate) dir: PathBuf,
    /// Its configuration, with the ports of the command line.
    pub(crate) config: Config,
    /// The files that were made, by their place in the folder; empty when all of them were there.
    pub(crate) made: Vec<PathBuf>,
    /// Whether the command line moved the management interface away from where the file says it is.
    control_moved: bool,
}

/// Makes what is missing in `dir` and reads its configuration. Blocks on the disk and on hashing.
///
/// Ports that are given go into a new `cordon.toml`; one that is there stays as it is, and they hold for this run only.
///
/// # Errors
/// What cannot be made or read, with the file; a configuration that was edited into something that cannot be used.
pub(crate) fn prepare(dir: &Path, ports: Ports) -> Result<Prepared> {
    let mut folder = files::Folder::open(dir)?;
    certificates(&mut folder)?;
    passwords::make(&mut folder, &THINGS)?;
    for (file, text) in TEXTS {
        folder.make(file, files::PUBLIC, || Ok(text.to_owned()))?;
    }
    folder.make("cordon.toml", files::PUBLIC, || Ok(configuration(ports)))?;
    folder.make_dir("data")?;

    let file = dir.join("cordon.toml");
    let mut config = Config::load(&file)?;
    let filed = config.control.as_ref().map(|control| control.bind);
    move_ports(&mut config, ports).with_context(|| format!("{} does not fit the port flags", file.display()))?;
    let control_moved = config.control.as_ref().map(|control| control.bind) != filed;
    Ok(Prepared { dir: dir.to_owned(), config, made: folder.into_made(), control_moved })
}

fn certificates(folder: &mut files::Folder) -> Result<()> {
    let devices = Authority::make(folder, "ca", "Cordon development CA")?;
    let operators = Authority::make(folder, "operator-ca", "Cordon development operator CA")?;
    devices.issue(folder, "tls/server.pem", "tls/server.key", Leaf::Server("localhost"))?;
    operators.issue(folder, "operator/cert.pem", "operator/key.pem", Leaf::Client("operator"))?;
    for thing in THINGS {
        let [certificate, key] = ["cert.pem", "key.pem"].map(|file| format!("things/{thing}/{file}"));
        devices.issue(folder, &certificate, &key, Leaf::Client(thing))?;
    }
    Ok(())
}

/// The text of a new `cordon.toml`.
fn configuration(ports: Ports) -> String {
    let port = |given: Option<u16>, usual: u16| given.unwrap_or(usual).to_string();
    include_str!("dev/cordon.toml")
        .replace("{mqtt}", &port(ports.mqtt, 1883))
        .replace("{mqtts}", &port(ports.mqtts, 8883))
        .replace("{control}", &port(ports.control, 7443))
        .replace("{metrics}", &port(ports.metrics, 9464))
}

fn move_ports(config: &mut Config, ports: Ports) -> Result<()> {
    config.ports_moved = ports != Ports::default();
    for (name, port) in [(PLAIN, ports.mqtt), (TLS, ports.mqtts)] {
        let Some(port) = port else { continue };
        let found = config.listeners.iter_mut().find(|listener| listener.name == name);
        found
            .ok_or_else(|| anyhow!("there is no listener called \"{name}\" to move to port {port}"))?
            .bind
            .set_port(port);
    }
    if let Some(port) = ports.control {
        config
            .control
            .as_mut()
            .ok_or_else(|| anyhow!("there is no [control] to move to port {port}"))?
            .bind
            .set_port(port);
    }
    if let Some(port) = ports.metrics {
        config
            .metrics
            .as_mut()
            .ok_or_else(|| anyhow!("there is no [metrics] to move to port {port}"))?
            .bind
            .set_port(port);
    }
    Ok(config.check_binds()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]
    use super::*;
    use crate::clock;
    use crate::config::Rules;
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(contents(&path));
            } else {
                found.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
        found
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_first_start_makes_a_folder_that_works_and_a_second_one_changes_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("cordon-dev");
        let first = prepare(&dir, Ports::default()).unwrap();
        assert!(first.made.contains(&PathBuf::from("things/pump-01/password")), "{:?}", first.made);
        let rules = Rules::load(&first.config).unwrap();
        assert_eq!(rules.warnings, []);
        let (wrong, soon) = first.config.check_tls(clock::now());
        assert_eq!((wrong, soon), (vec![], vec![]));
        let firmware = |name: &str| rules.registry.get(name).unwrap().firmware().unwrap().to_owned();
        assert_eq!(["press-01", "press-02", "pump-01"].map(firmware), ["1.2.0", "1.2.0", "1.3.0"]);
        assert_eq!(rules.passwords.keys().collect::<Vec<_>>(), ["press-01", "press-02", "pump-01"]);

        let before = contents(&dir);
        let second = prepare(&dir, Ports::default()).unwrap();
        assert_eq!(second.made, Vec::<PathBuf>::new());
        assert_eq!(contents(&dir), before);
    }

    #[test]
    fn secrets_are_for_their_owner_only() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("cordon-dev");
        prepare(&dir, Ports::default()).unwrap();
        assert_eq!(mode(&dir), 0o700);
        for file in contents(&dir).into_keys() {
            let name = file.to_str().unwrap();
            let secret = name.ends_with("key.pem")
                || name.ends_with(".key")
                || name.ends_with("password")
                || name.ends_with("passwords.toml");
            assert_eq!(mode(&file) & 0o077 == 0, secret, "{name} has mode {:o}", mode(&file));
        }
    }

    #[test]
    fn what_is_missing_is_made_again_and_fits_what_is_there() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("cordon-dev");
        prepare(&dir, Ports::default()).unwrap();
        let kept = fs::read(dir.join("things/press-01/cert.pem")).unwrap();
        let password = fs::read(dir.join("things/press-01/password")).unwrap();
        for file in ["ca.pem", "things/press-02/cert.pem", "tls/server.key", "things/pump-01/password", "fleet.toml"] {
            fs::remove_file(dir.join(file)).unwrap();
        }
        let again = prepare(&dir, Ports::default()).unwrap();
        assert_eq!(again.config.check_tls(clock::now()), (vec![], vec![]));
        assert_eq!(fs::read(dir.join("things/press-01/cert.pem")).unwrap(), kept);
        assert_eq!(fs::read(dir.join("things/press-01/password")).unwrap(), password);
        assert_eq!(Rules::load(&again.config).unwrap().passwords.len(), 3);
    }

    #[test]
    fn a_lost_authority_key_is_told_when_something_must_be_signed() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("cordon-dev");
        prepare(&dir, Ports::default()).unwrap();
        fs::remove_file(dir.join("ca.key")).unwrap();
        prepare(&dir, Ports::default()).unwrap();
        fs::remove_file(dir.join("things/press-01/cert.pem")).unwrap();
        let error = prepare(&dir, Ports::default()).unwrap_err().to_string();
        assert!(error.contains("ca.key") && error.contains("things/press-01/cert.pem"), "{error}");
    }

    #[test]
    fn ports_go_into_a_new_file_and_override_an_old_one_for_the_run() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("cordon-dev");
        let ports = Ports { mqtt: Some(21883), control: Some(27443), ..Ports::default() };
        let first = prepare(&dir, ports).unwrap();
        let port = |prepared: &Prepared, name: &str| {
            prepared.config.listeners.iter().find(|listener| listener.name == name).unwrap().bind.port()
        };
        assert_eq!((port(&first, "plain"), port(&first, "tls"), first.control_moved), (21883, 8883, false));
        let file = fs::read(dir.join("cordon.toml")).unwrap();
        let other = Ports { mqtts: Some(28883), control: Some(37443), ..Ports::default() };
        let second = prepare(&dir, other).unwrap();
        assert_eq!((port(&second, "plain"), port(&second, "tls"), second.control_moved), (21883, 28883, true));
        assert_eq!(fs::read(dir.join("cordon.toml")).unwrap(), file);
        let clash = prepare(&dir, Ports { mqtts: Some(21883), ..Ports::default() }).unwrap_err();
        assert!(format!("{clash:#}").contains("already taken"), "{clash:#}");
    }
}
