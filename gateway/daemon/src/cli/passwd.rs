//! `cordon passwd`.

use super::failure::Failure;
use super::output::{Output, note};
use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, SaltString};
use clap::Args;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use serde::Serialize;
use std::io::{self, BufRead as _, IsTerminal as _, Stdin, Write as _};

/// The longest password taken, in bytes.
const MAX_BYTES: u64 = 1024;

/// Hash a password with argon2id, for a thing in the configuration. Asks for it without showing it, or reads one line
/// from standard input. It cannot be given as an argument, where every user of the machine would see it.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  cordon passwd\n  cordon passwd < password-file")]
pub(crate) struct PasswdArgs {}

#[derive(Serialize)]
struct View {
    hash: String,
}

pub(crate) fn run(_: PasswdArgs, out: &mut Output) -> Result<(), Failure> {
    let password = if io::stdin().is_terminal() { ask()? } else { line(io::stdin().lock())? };
    let hash = hash(&password)?;
    if out.is_json() { out.json(&View { hash }) } else { out.line(&hash) }
}

fn hash(password: &str) -> Result<String, Failure> {
    if password.is_empty() {
        return Err(Failure::Usage("the password is empty; give one on the first line of standard input".into()));
    }
    let failed = |what: String| Failure::Failed(format!("the password could not be hashed: {what}"));
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| failed(error.to_string()))?;
    let salt = SaltString::encode_b64(&salt).map_err(|error| failed(error.to_string()))?;
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
    Ok(hash.map_err(|error| failed(error.to_string()))?.to_string())
}

/// Asks twice on the terminal, without showing what is typed.
fn ask() -> Result<String, Failure> {
    let hidden = Hidden::begin()?;
    let asked = |prompt: &str| {
        let _ = write!(io::stderr(), "{prompt}: ");
        let answer = line(io::stdin().lock());
        note("");
        answer
    };
    let (first, second) = (asked("Password")?, asked("Once more")?);
    drop(hidden);
    if first != second {
        return Err(Failure::Usage("the two differ; try again".into()));
    }
    Ok(first)
}

fn line(input: impl io::BufRead) -> Result<String, Failure> {
    let mut line = String::new();
    let mut input = input.take(MAX_BYTES + 2);
    input
        .read_line(&mut line)
        .map_err(|error| Failure::Usage(format!("the password cannot be read: {error}; it must be UTF-8 text")))?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.len() as u64 > MAX_BYTES {
        return Err(Failure::Usage(format!("the password is longer than {MAX_BYTES} bytes")));
    }
    Ok(line.to_owned())
}

/// The terminal without echo; as it was when dropped.
struct Hidden {
    terminal: Stdin,
    before: Termios,
}

// === impl Hidden ===

impl Hidden {
    fn begin() -> Result<Self, Failure> {
        let failed = |error| Failure::Failed(format!("the terminal cannot hide what is typed: {error}"));
        let terminal = io::stdin();
        let before = tcgetattr(&terminal).map_err(failed)?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(&terminal, SetArg::TCSAFLUSH, &silent).map_err(failed)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = tcsetattr(&self.terminal, SetArg::TCSANOW, &self.before);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;
    use argon2::password_hash::{PasswordHash, PasswordVerifier as _};

    #[test]
    fn the_hash_fits_the_password_and_no_two_hashes_are_alike() {
        let (one, two) = (hash("a password").unwrap(), hash("a password").unwrap());
        assert!(one.starts_with("$argon2id$"), "{one}");
        assert_ne!(one, two);
        let parsed = PasswordHash::new(&one).unwrap();
        assert!(Argon2::default().verify_password(b"a password", &parsed).is_ok());
        assert!(Argon2::default().verify_password(b"another", &parsed).is_err());
    }

    #[test]
    fn one_line_is_read_without_its_end() {
        assert_eq!(line(&b"secret word\r\nmore\n"[..]).unwrap(), "secret word");
        assert_eq!(line(&b"secret"[..]).unwrap(), "secret");
        assert!(line(&[b'x'; 1100][..]).is_err());
        assert!(hash("").is_err());
    }
}
