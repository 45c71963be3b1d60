//! What happens when files are damaged or vanish.

use crate::{PATIENCE, close, event, host, open};
use cordon_journal::{Bucket, Filter, Journal, Outbox, OutboxLimits, State, Trouble};
use std::fs;
use std::path::{Path, PathBuf};

/// The databases of a journal, oldest first.
fn segments(root: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() && !path.to_string_lossy().contains("damaged"))
        .collect();
    found.sort();
    found
}

async fn recorded(journal: &Journal, count: u64) {
    for at in 1..count {
        journal.recorder().record(event(at));
    }
    journal.recorder().record_durably(event(count)).await.unwrap();
}

#[tokio::test]
async fn a_damaged_journal_is_set_aside_and_numbers_are_not_used_twice() {
    type Damage = fn(&Path);
    let overwritten: Damage = |db| fs::write(db.join("db"), vec![0xA5; 700_000]).unwrap();
    let bad_settings: Damage = |db| fs::write(db.join("conf"), "nonsense that is long enough").unwrap();
    let emptied: Damage = |db| fs::write(db.join("db"), "").unwrap();
    for (name, damage) in [("overwritten", overwritten), ("bad settings", bad_settings), ("emptied", emptied)] {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _) = open(dir.path());
        recorded(&journal, 100).await;
        close(journal).await;
        damage(&segments(dir.path())[0]);

        let (journal, report) = open(dir.path());
        let [Trouble::SetAside { path, .. }] = &report.troubles[..] else { panic!("{name}: {report:?}") };
        assert!(path.exists() && path.to_string_lossy().contains(".damaged-"), "{name}");
        assert_eq!(journal.recorder().record_durably(event(101)).await, Ok(101), "{name}");
        let broken = journal.verify().await.unwrap().broken.unwrap();
        assert_eq!((broken.seq, broken.what.as_str()), (1, "the events up to 100 were removed"), "{name}");
        close(journal).await;
        assert_eq!(open(dir.path()).1.troubles, [], "{name}");
    }
}

#[tokio::test]
async fn without_its_mark_a_damaged_journal_leaves_a_gap_rather_than_use_a_number_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    recorded(&journal, 100).await;
    close(journal).await;
    fs::remove_file(dir.path().join("head")).unwrap();
    fs::write(segments(dir.path())[0].join("conf"), "nonsense that is long enough").unwrap();

    let (journal, _) = open(dir.path());
    assert!(journal.recorder().record_durably(event(0)).await.unwrap() > 100);
    close(journal).await;
}

#[tokio::test]
async fn a_journal_without_its_small_files_still_has_its_events() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    recorded(&journal, 100).await;
    close(journal).await;
    fs::remove_file(dir.path().join("head")).unwrap();
    let _ = fs::remove_file(dir.path().join("catalog.json"));

    let (journal, report) = open(dir.path());
    assert_eq!(report.troubles, []);
    assert_eq!(journal.query(Filter::default()).await.unwrap().len(), 100);
    assert_eq!(journal.verify().await.unwrap().broken, None);
    close(journal).await;
}

#[tokio::test]
async fn damaged_state_and_outbox_are_set_aside_and_begin_empty() {
    let dir = tempfile::tempdir().unwrap();
    let (state_dir, outbox_dir) = (dir.path().join("state"), dir.path().join("outbox"));
    let (state, _) = State::open(&state_dir, &host()).unwrap();
    state.put(Bucket::Orders, "iso-1", b"{}".to_vec()).await.unwrap();
    state.shutdown(PATIENCE).await.unwrap();
    let (outbox, _) = Outbox::open(&outbox_dir, OutboxLimits::default(), &host()).unwrap();
    let old = outbox.push(0, "t", vec![]).await.unwrap().id;
    outbox.shutdown(PATIENCE).await.unwrap();
    drop((state, outbox));
    for path in [&state_dir, &outbox_dir] {
        fs::write(path.join("00000001/db"), vec![0x5A; 600_000]).unwrap();
    }

    let (state, report) = State::open(&state_dir, &host()).unwrap();
    assert!(matches!(&report.troubles[..], [Trouble::SetAside { .. }, Trouble::Lost { .. }]), "{report:?}");
    assert_eq!(state.list(Bucket::Orders).await.unwrap(), []);
    let (outbox, report) = Outbox::open(&outbox_dir, OutboxLimits::default(), &host()).unwrap();
    assert!(matches!(&report.troubles[..], [Trouble::SetAside { .. }, Trouble::Lost { .. }]), "{report:?}");
    assert!(outbox.push(0, "t", vec![]).await.unwrap().id > old);
}
