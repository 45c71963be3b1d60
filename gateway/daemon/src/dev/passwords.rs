//! A password for each device, and the file of their hashes.

use super::files::{Folder, SECRET};
use anyhow::{Context as _, Result, anyhow};

/// Letters and digits that cannot be taken for each other; 32 of them, so that a random byte picks without bias.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// 24 letters of 5 bits each: 120 bits, far beyond guessing.
const LENGTH: usize = 24;

const FILE: &str = "passwords.toml";
const HEAD: &str =
    "# User names and the argon2id hashes of their passwords, which stand in things/NAME/password.\n[passwords]\n";

/// Makes the passwords that are missing, and the hashes for them. Hashes of passwords that are there stay.
pub(super) fn make(folder: &mut Folder, things: &[&str]) -> Result<()> {
    let new_file = !folder.has(FILE);
    let mut text = if new_file { HEAD.to_owned() } else { folder.read(FILE)? };
    let mut changed = new_file;
    for thing in things {
        let file = format!("things/{thing}/password");
        let lost = !folder.has(&file);
        // No newline at the end: what reads the file whole gets the password and nothing else.
        folder.make(&file, SECRET, password)?;
        if lost || new_file {
            let hash = cordon_mqtt::hash_password(folder.read(&file)?.trim_end().as_bytes());
            text = with_hash(&text, thing, &hash.map_err(|error| anyhow!("cannot hash a password: {error}"))?);
            changed = true;
        }
    }
    if changed { folder.replace(FILE, SECRET, &text) } else { Ok(()) }
}

fn password() -> Result<String> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("{error}")).context("the system gives no random bytes")?;
    Ok(bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}

/// The file's text with this hash for this user, in the place of the one that is there.
fn with_hash(text: &str, user: &str, hash: &str) -> String {
    let line = format!("{user} = \"{hash}\"");
    let of_user = |line: &str| line.split_once('=').is_some_and(|(key, _)| key.trim().trim_matches('"') == user);
    let mut lines: Vec<&str> = text.lines().filter(|line| !of_user(line)).collect();
    lines.push(&line);
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_takes_the_place_of_the_one_before_and_leaves_the_others() {
        let text = with_hash(&with_hash(HEAD, "a", "1"), "b", "2");
        let text = with_hash(&text, "a", "3");
        assert_eq!(text, format!("{HEAD}b = \"2\"\na = \"3\"\n"));
    }
}
