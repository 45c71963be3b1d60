//! Who a client is: by certificate, by user name and password, or by its client id alone.
//!
//! Passwords are stored as argon2id hashes. Checking one costs tens of milliseconds by design, so a password that was
//! right once is remembered as a keyed hash under a key that lives only in this process; a fleet that reconnects after a
//! power cut is then not held up.

use argon2::Argon2;
use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use cordon_core::policy::Principal;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::shared::lock;

/// Passwords checked at once; more wait their turn.
const CHECKS_AT_ONCE: usize = 2;
/// Passwords remembered as right.
const REMEMBERED: usize = 20_000;

/// The password hashes of the fleet, by user name.
pub struct Credentials {
    hashes: BTreeMap<String, String>,
    key: [u8; 32],
    known: Mutex<HashMap<String, blake3::Hash>>,
    turns: Semaphore,
}

/// Who was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) principal: Principal,
    pub(crate) thing: Option<String>,
}

/// Why a password did not identify anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PasswordError {
    UnknownUser,
    Wrong,
}

/// Hashes a password with argon2id and a fresh salt, as a PHC string.
///
/// # Errors
/// When the system's random source fails.
pub fn hash_password(password: &[u8]) -> Result<String, argon2::password_hash::Error> {
    Ok(Argon2::default().hash_password(password, &SaltString::generate(&mut OsRng))?.to_string())
}

/// The SHA-256 fingerprint of a DER certificate in lower-case hex: what AWS IoT calls the certificate id.
#[must_use]
pub fn fingerprint(der: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, der);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The common name of a DER certificate's subject.
pub(crate) fn common_name(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let name = certificate.subject().iter_common_name().next()?.as_str().ok()?;
    Some(name.to_owned())
}

// === impl Credentials ===

impl Credentials {
    /// The credentials of a fleet: PHC strings by user name.
    ///
    /// # Errors
    /// When the system's random source fails.
    pub fn new(hashes: BTreeMap<String, String>) -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self { hashes, key, known: Mutex::default(), turns: Semaphore::new(CHECKS_AT_ONCE) })
    }

    /// Checks a password. An unknown user costs as much time as a wrong password, so that names cannot be probed.
    pub(crate) async fn check(self: &Arc<Self>, user: &str, password: &[u8]) -> Result<(), PasswordError> {
        let tag = blake3::Hasher::new_keyed(&self.key).update(user.as_bytes()).update(&[0]).update(password).finalize();
        if lock(&self.known).get(user).is_some_and(|known| *known == tag) {
            return Ok(());
        }
        let Ok(_turn) = self.turns.acquire().await else { return Err(PasswordError::Wrong) };
        let (hash, known_user) = match self.hashes.get(user).or_else(|| self.hashes.values().next()) {
            Some(hash) => (hash.clone(), self.hashes.contains_key(user)),
            None => return Err(PasswordError::UnknownUser),
        };
        let password = password.to_vec();
        let right = tokio::task::spawn_blocking(move || {
            PasswordHash::new(&hash).is_ok_and(|hash| Argon2::default().verify_password(&password, &hash).is_ok())
        })
        .await
        .unwrap_or(false);
        if !known_user {
            return Err(PasswordError::UnknownUser);
        }
        if !right {
            return Err(PasswordError::Wrong);
        }
        let mut known = lock(&self.known);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(user.to_owned(), tag);
        Ok(())
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("users", &self.hashes.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_identifies_a_user_and_a_remembered_one_still_must_match() {
        let hash = hash_password(b"right").unwrap();
        let credentials = Arc::new(Credentials::new(BTreeMap::from([("press-01".to_owned(), hash)])).unwrap());
        for _ in 0..2 {
            assert_eq!(credentials.check("press-01", b"right").await, Ok(()));
            assert_eq!(credentials.check("press-01", b"wrong").await, Err(PasswordError::Wrong));
            assert_eq!(credentials.check("press-02", b"right").await, Err(PasswordError::UnknownUser));
        }
    }
}
