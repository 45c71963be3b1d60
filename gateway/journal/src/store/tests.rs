//! Compaction, crashes and damage.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use super::*;
use cordon_core::time::Now;
use std::sync::Arc;

fn host() -> Host {
    Host::new(Arc::new(|| Now::for_test(0)), "boot")
}

fn open(root: &Path) -> (Store, Vec<Trouble>) {
    Store::open("state", root, &host()).unwrap()
}

fn put(store: &mut Store, key: u8, value: &[u8]) {
    store.apply(vec![Write::Put(vec![1, key], value.to_vec())]).unwrap();
    store.flush().unwrap();
}

#[test]
fn a_grown_directory_is_replaced_by_one_that_holds_what_lives() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    store.ceiling = 4 * 1024 * 1024;
    for key in 0..200_u8 {
        put(&mut store, key, &vec![key; 40_000]);
    }
    for key in 10..200_u8 {
        store.apply(vec![Write::Remove(vec![1, key])]).unwrap();
        store.flush().unwrap();
    }
    assert!(store.generation > 1);
    assert_eq!(generations(dir.path()).unwrap(), [store.generation]);
    drop(store);

    let (mut store, troubles) = open(dir.path());
    assert_eq!(troubles, []);
    let mut kept = Vec::new();
    store.each(&mut |key, value| kept.push((key.to_vec(), value))).unwrap();
    let wanted: Vec<_> = (0..10).map(|key| (vec![1, key], vec![key; 40_000])).collect();
    assert_eq!(kept, wanted);
}

#[test]
fn a_crash_while_a_generation_is_replaced_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    put(&mut store, 1, b"kept");
    drop(store);
    Database::open(&path_of(dir.path(), 2)).unwrap().apply(&[Write::Put(vec![1, 1], b"half".to_vec())]).unwrap();

    let (mut store, troubles) = open(dir.path());
    assert_eq!(troubles, []);
    assert_eq!(store.db().unwrap().get(&[1, 1]).unwrap(), Some(b"kept".to_vec()));
    assert_eq!(generations(dir.path()).unwrap(), [1]);
}

#[test]
fn an_overwritten_database_is_set_aside_and_a_fresh_one_begun() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    put(&mut store, 1, b"gone");
    drop(store);
    let data = path_of(dir.path(), 1).join("db");
    fs::write(&data, vec![0xA5; 600_000]).unwrap();

    let (mut store, troubles) = open(dir.path());
    assert!(
        matches!(&troubles[..], [Trouble::SetAside { path, .. }, Trouble::Lost { .. }] if path.exists()),
        "{troubles:?}"
    );
    put(&mut store, 2, b"new");
    drop(store);
    assert_eq!(open(dir.path()).1, []);
}

#[test]
fn commits_that_vanish_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    put(&mut store, 1, b"first");
    drop(store);
    let (old, kept) = (path_of(dir.path(), 1), dir.path().join("copy"));
    copy_dir(&old, &kept);
    let (mut store, _) = open(dir.path());
    put(&mut store, 1, b"second");
    put(&mut store, 1, b"third");
    drop(store);
    fs::remove_dir_all(&old).unwrap();
    fs::rename(&kept, &old).unwrap();

    let (_, troubles) = open(dir.path());
    let [Trouble::Lost { what, .. }] = &troubles[..] else { unreachable!("{troubles:?}") };
    assert_eq!(what, "the last 2 of 3 acknowledged commits are gone");
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
