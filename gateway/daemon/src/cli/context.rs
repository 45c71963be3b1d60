//! Which gateway, and as whom.
//!
//! Flags come first, each for itself. What they leave open comes from one source: the context file that is named, else
//! a `--dev-dir` that is named, else the user's own context file, else `./cordon-dev`.

use super::failure::Failure;
use super::global::Global;
use serde::Deserialize;
use std::env;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// A gateway and the operator's identity for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Context {
    /// `HOST:PORT`.
    pub(crate) endpoint: String,
    /// The authority of the gateway's certificate.
    pub(crate) ca: PathBuf,
    /// The operator's certificate.
    pub(crate) cert: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
}

/// A context file. Paths are relative to the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    endpoint: Option<String>,
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
}

// === impl Context ===

impl Context {
    /// Finds the context; `own` is the user's own context file, which need not exist.
    ///
    /// # Errors
    /// Nothing is found, or what is found is not usable; both are wrong usage.
    pub(crate) fn find(global: &Global, own: Option<&Path>) -> Result<Self, Failure> {
        let given = File {
            endpoint: global.endpoint.clone(),
            ca: global.ca.clone(),
            cert: global.cert.clone(),
            key: global.key.clone(),
        };
        let complete = given.endpoint.is_some() && given.ca.is_some() && given.cert.is_some() && given.key.is_some();
        let (base, origin) = if complete {
            (File::default(), String::new())
        } else if let Some(file) = &global.context {
            (File::read(file)?, file.display().to_string())
        } else if let Some(dir) = &global.dev_dir {
            (File::of_dev_dir(dir)?, dir.display().to_string())
        } else if let Some(file) = own.filter(|file| file.is_file()) {
            (File::read(file)?, file.display().to_string())
        } else if global.dev_dir().join("cordon.toml").is_file() {
            (File::of_dev_dir(global.dev_dir())?, global.dev_dir().display().to_string())
        } else {
            (File::default(), String::new())
        };
        let missing = |name: &str| match origin.as_str() {
            "" => nothing_found(global, name),
            origin => Failure::Usage(format!("{origin} does not say `{name}`; add it there or give --{name}")),
        };
        let endpoint = given.endpoint.or(base.endpoint).ok_or_else(|| missing("endpoint"))?;
        Ok(Self {
            endpoint: host_and_port(&endpoint)?,
            ca: given.ca.or(base.ca).ok_or_else(|| missing("ca"))?,
            cert: given.cert.or(base.cert).ok_or_else(|| missing("cert"))?,
            key: given.key.or(base.key).ok_or_else(|| missing("key"))?,
        })
    }

    /// Where the user's own context file would be.
    pub(crate) fn own_file() -> Option<PathBuf> {
        let config = env::var_os("XDG_CONFIG_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let config = config.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".config")))?;
        Some(config.join("cordon/context.toml"))
    }
}

// === impl File ===

impl File {
    fn read(path: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::Usage(format!("cannot read the context file {}: {error}", path.display())))?;
        let file: Self = toml::from_str(&text).map_err(|error| {
            Failure::Usage(format!(
                "the context file {} is not usable: {error}\nIt takes the keys endpoint, ca, cert and key.",
                path.display()
            ))
        })?;
        let beside = |name: PathBuf| path.parent().unwrap_or(Path::new("")).join(name);
        Ok(Self {
            endpoint: file.endpoint,
            ca: file.ca.map(beside),
            cert: file.cert.map(beside),
            key: file.key.map(beside),
        })
    }

    fn of_dev_dir(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join("cordon.toml");
        let unusable = |problem: String| {
            Failure::Usage(format!(
                "{} does not say where the gateway is: {problem}; run `cordon serve --dev` there, or give --endpoint",
                path.display()
            ))
        };
        let text = fs::read_to_string(&path).map_err(|error| unusable(error.to_string()))?;
        let config: toml::Table = toml::from_str(&text).map_err(|error| unusable(error.message().to_owned()))?;
        let bind = config
            .get("control")
            .and_then(|control| control.get("bind"))
            .and_then(toml::Value::as_str)
            .ok_or_else(|| unusable("`[control] bind` is missing".into()))?;
        let bind: SocketAddr = bind.parse().map_err(|_| unusable(format!("`[control] bind` is `{bind}`")))?;
        Ok(Self {
            endpoint: Some(reachable(bind).to_string()),
            ca: Some(dir.join("ca.pem")),
            cert: Some(dir.join("operator/cert.pem")),
            key: Some(dir.join("operator/key.pem")),
        })
    }
}

/// Where to connect to reach a server on the same machine that is bound to `bind`.
fn reachable(bind: SocketAddr) -> SocketAddr {
    let ip = match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bind.port())
}

/// `HOST:PORT` from what a person writes.
fn host_and_port(endpoint: &str) -> Result<String, Failure> {
    let bare = endpoint.strip_prefix("https://").unwrap_or(endpoint).trim_end_matches('/');
    let has_port = bare.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !has_port || bare.contains('/') {
        return Err(Failure::Usage(format!(
            "`{endpoint}` is no endpoint; write HOST:PORT, for example gateway.local:7443 or [2001:db8::7]:7443"
        )));
    }
    Ok(bare.to_owned())
}

fn nothing_found(global: &Global, missing: &str) -> Failure {
    let partly =
        [&global.ca, &global.cert, &global.key].iter().any(|given| given.is_some()) || global.endpoint.is_some();
    Failure::Usage(if partly {
        format!("--{missing} is missing; give --endpoint, --ca, --cert and --key together, or a --context file")
    } else {
        "no gateway is named, and there is no context file and no ./cordon-dev here.\n\
         Go to the folder where `cordon serve --dev` was started, or say which gateway and who you are:\n  \
         --endpoint HOST:PORT --ca FILE --cert FILE --key FILE\n\
         or put these four as endpoint, ca, cert and key into ~/.config/cordon/context.toml"
            .into()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;

    fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    const CONTEXT: &str =
        "endpoint = \"gateway.local:7443\"\nca = \"ca.pem\"\ncert = \"me.pem\"\nkey = \"/keys/me.pem\"\n";

    #[test]
    fn a_context_file_says_all_and_flags_override_it_one_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = write(dir.path(), "context.toml", CONTEXT);
        let global = Global { context: Some(file), endpoint: Some("127.0.0.1:1".into()), ..Default::default() };
        let context = Context::find(&global, None).unwrap();
        assert_eq!(context.endpoint, "127.0.0.1:1");
        assert_eq!(context.cert, dir.path().join("me.pem"), "paths are relative to the file");
        assert_eq!(context.key, PathBuf::from("/keys/me.pem"));
    }

    #[test]
    fn a_dev_dir_that_is_named_goes_before_the_users_own_file() {
        let dir = tempfile::tempdir().unwrap();
        let own = write(dir.path(), "own/context.toml", CONTEXT);
        write(dir.path(), "dev/cordon.toml", "[control]\nbind = \"0.0.0.0:7444\"\nother = 1\n");
        let named = Global { dev_dir: Some(dir.path().join("dev")), ..Default::default() };
        let context = Context::find(&named, Some(&own)).unwrap();
        assert_eq!(context.endpoint, "127.0.0.1:7444");
        assert_eq!(context.cert, dir.path().join("dev/operator/cert.pem"));
        assert_eq!(Context::find(&Global::default(), Some(&own)).unwrap().endpoint, "gateway.local:7443");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let typo = write(dir.path(), "typo.toml", "endpont = \"a:1\"\n");
        let short = write(dir.path(), "short.toml", "endpoint = \"a:1\"\n");
        let empty = dir.path().join("empty");
        for (global, said) in [
            (Global { context: Some(typo), ..Default::default() }, "endpont"),
            (Global { context: Some(short), ..Default::default() }, "give --ca"),
            (Global { context: Some(dir.path().join("none.toml")), ..Default::default() }, "none.toml"),
            (Global { dev_dir: Some(empty), ..Default::default() }, "serve --dev"),
            (Global { endpoint: Some("gateway.local".into()), ..Default::default() }, "write HOST:PORT"),
        ] {
            let text = Context::find(&global, None).unwrap_err().to_string();
            assert!(text.contains(said), "{text}");
        }
    }
}
