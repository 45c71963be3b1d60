//! The state store.

use crate::{PATIENCE, host};
use cordon_journal::{Bucket, Change, State, StoreError};
use std::path::Path;

fn open(directory: &Path) -> State {
    let (state, report) = State::open(directory, &host()).unwrap();
    assert_eq!(report.troubles, []);
    state
}

#[tokio::test]
async fn records_of_any_key_and_size_come_back_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let long = "plant/".repeat(10_000);
    let records = [("", vec![]), ("a", vec![1]), ("a/b", vec![2; 5000]), (long.as_str(), vec![3; 300_000])];
    for (key, value) in &records {
        state.put(Bucket::Shadows, key, value.clone()).await.unwrap();
    }
    state.put(Bucket::Registry, "a", vec![9]).await.unwrap();
    state.shutdown(PATIENCE).await.unwrap();
    drop(state);

    let state = open(dir.path());
    let listed = state.list(Bucket::Shadows).await.unwrap();
    let wanted: Vec<_> = records.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    assert_eq!(listed, wanted);
    state.remove(Bucket::Shadows, &long).await.unwrap();
    assert_eq!(state.get(Bucket::Shadows, &long).await.unwrap(), None);
    assert_eq!(state.get(Bucket::Shadows, "a").await.unwrap(), Some(vec![1]));
    assert_eq!(state.list(Bucket::Orders).await.unwrap(), []);
}

#[test]
fn changes_of_one_group_happen_together_and_the_last_one_counts() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let put = |key: &str, value: &[u8]| Change::Put(Bucket::Orders, key.to_owned(), value.to_vec());
    let remove = |key: &str| Change::Remove(Bucket::Orders, key.to_owned());
    let group = vec![put("1", b"x"), put("2", &[7; 9000]), remove("2"), put("3", b"z"), put("3", b"zz")];
    state.apply_blocking(group).unwrap();
    let held = state.list_blocking(Bucket::Orders).unwrap();
    assert_eq!(held, [("1".to_owned(), b"x".to_vec()), ("3".to_owned(), b"zz".to_vec())]);

    let too_large = vec![put("1", b"changed"), put("4", &vec![0; 65 * 1024 * 1024])];
    assert!(matches!(state.apply_blocking(too_large), Err(StoreError::TooLarge { .. })));
    assert_eq!(state.get_blocking(Bucket::Orders, "1").unwrap(), Some(b"x".to_vec()));
}

#[test]
fn one_unreadable_json_record_does_not_hide_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    state.put_json_blocking(Bucket::Alarms, "1", &vec![1, 2]).unwrap();
    state.apply_blocking(vec![Change::Put(Bucket::Alarms, "2".to_owned(), b"{".to_vec())]).unwrap();
    let listed = state.list_json_blocking::<Vec<u8>>(Bucket::Alarms).unwrap();
    assert_eq!(listed[0], ("1".to_owned(), Ok(vec![1, 2])));
    assert!(matches!(&listed[1].1, Err(StoreError::Format { key, .. }) if key == "2"));
}

#[tokio::test]
async fn after_shutdown_every_call_says_so_and_the_directory_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    state.shutdown(PATIENCE).await.unwrap();
    assert_eq!(state.put(Bucket::Meta, "k", vec![]).await, Err(StoreError::Closed));
    open(dir.path());
}
