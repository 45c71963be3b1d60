//! Recording, asking, following.

use crate::{PATIENCE, close, event, host, listening_host, notice, open};
use cordon_core::event::{Code, Event, Severity};
use cordon_core::time::Now;
use cordon_journal::{Filter, Journal, JournalOptions, Order, RecordError, StoreError, Trouble};
use std::fs;
use std::time::Duration;

fn seqs(found: &[cordon_journal::Recorded]) -> Vec<u64> {
    found.iter().map(|recorded| recorded.seq).collect()
}

#[tokio::test]
async fn events_come_back_after_a_restart_and_numbers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    for at in 0..500 {
        journal.recorder().record(event(at));
    }
    close(journal).await;

    let (journal, report) = open(dir.path());
    assert_eq!(report.troubles, []);
    assert_eq!(journal.recorder().record_durably(event(500)).await, Ok(501));
    let all = Filter { order: Order::OldestFirst, ..Filter::default() };
    let found = journal.query(all).await.unwrap();
    assert_eq!(seqs(&found), (1..=501).collect::<Vec<_>>());
    for (at, recorded) in (0..).zip(&found) {
        assert_eq!(*recorded.event, event(at));
        assert_eq!(&*recorded.boot_id, "boot-1");
    }
    close(journal).await;
}

#[tokio::test]
async fn a_query_finds_what_its_filter_says_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let base = Now::for_test(0).unix.0;
    let recorder = journal.recorder();
    recorder.record(Event::new(Code::AuthnBadPassword, Now::for_test(0)).thing("press-01"));
    recorder.record(Event::new(Code::AuthzPublishDenied, Now::for_test(10)).thing("press-02").client_id("c2"));
    journal.flush().await.unwrap();
    recorder.record(Event::new(Code::SessionConnected, Now::for_test(20)).thing("press-01").client_id("c1"));
    // The clock was set back.
    recorder.record(Event::new(Code::AlarmRaised, Now::for_test(5)).thing("press-01"));

    let any = Filter::default;
    let table: [(Filter, &[u64]); 14] = [
        (any(), &[4, 3, 2, 1]),
        (Filter { order: Order::OldestFirst, ..any() }, &[1, 2, 3, 4]),
        (Filter { limit: 2, ..any() }, &[4, 3]),
        (Filter { limit: 0, ..any() }, &[]),
        (Filter { after_seq: Some(2), ..any() }, &[4, 3]),
        (Filter { before_seq: Some(2), ..any() }, &[1]),
        (Filter { after_seq: Some(u64::MAX), ..any() }, &[]),
        (Filter { since: Some(base + 10), ..any() }, &[3, 2]),
        (Filter { until: Some(base + 10), ..any() }, &[4, 1]),
        (Filter { since: Some(base + 5), until: Some(base + 6), ..any() }, &[4]),
        (Filter { thing: Some("press-01".into()), code: Some("auth".into()), ..any() }, &[1]),
        (Filter { client_id: Some("c2".into()), ..any() }, &[2]),
        (Filter { min_severity: Some(Severity::Error), ..any() }, &[4]),
        (Filter { thing: Some("pump-01".into()), ..any() }, &[]),
    ];
    for (filter, wanted) in table {
        assert_eq!(seqs(&journal.query(filter.clone()).await.unwrap()), wanted, "{filter:?}");
    }
    close(journal).await;
}

#[tokio::test]
async fn a_durable_event_does_not_wait_for_company() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = JournalOptions::new(dir.path(), host());
    options.linger = Duration::from_secs(3600);
    let (journal, _) = Journal::open(options).unwrap();
    let recorder = journal.recorder();
    recorder.record(event(0));
    let durable = tokio::time::timeout(PATIENCE, recorder.record_durably(notice(1))).await.unwrap();
    assert_eq!(durable, Ok(2));
    close(journal).await;
}

#[tokio::test]
async fn a_follower_sees_every_event_once_however_slow_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let recorder = journal.recorder();
    recorder.record_durably(event(0)).await.unwrap();
    let mut follower = journal.follow();
    let mut from_the_first = journal.follow_after(0);
    recorder.record_durably(event(1)).await.unwrap();
    assert_eq!(follower.next().await.unwrap().unwrap().seq, 2);
    for at in 2..4000 {
        recorder.record(event(at));
    }
    recorder.record_durably(event(4000)).await.unwrap();
    for (follower, first) in [(&mut follower, 3), (&mut from_the_first, 1)] {
        for seq in first..=4001 {
            let next = tokio::time::timeout(PATIENCE, follower.next()).await.unwrap();
            assert_eq!(next.unwrap().unwrap().seq, seq);
        }
    }
    close(journal).await;
    assert_eq!(follower.next().await, Ok(None));
}

#[tokio::test]
async fn after_shutdown_recording_says_that_the_journal_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let recorder = journal.recorder();
    journal.shutdown(PATIENCE).await.unwrap();
    assert_eq!(recorder.record_durably(event(0)).await, Err(RecordError::Closed));
    assert_eq!(journal.query(Filter::default()).await, Err(StoreError::Closed));
    assert_eq!(journal.shutdown(PATIENCE).await, Ok(()));
}

#[tokio::test]
async fn a_directory_that_cannot_be_used_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("data"), "").unwrap();
    let error = Journal::open(JournalOptions::new(dir.path().join("data/journal"), host())).unwrap_err();
    assert!(matches!(error, StoreError::NotWritable { .. }), "{error}");
    assert!(error.to_string().contains("make it writable"), "{error}");
}

#[tokio::test]
async fn a_journal_that_cannot_write_keeps_the_important_events_until_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let obstacle = dir.path().join("data");
    fs::write(&obstacle, "").unwrap();
    let (host, mut troubles) = listening_host();
    let mut options = JournalOptions::new(obstacle.join("journal"), host);
    options.queue_events = 10;
    let journal = Journal::open_later(options).unwrap();
    let recorder = journal.recorder();

    let refused = recorder.record_durably(notice(0)).await;
    assert!(matches!(refused, Err(RecordError::NotDurable(StoreError::NotWritable { .. }))), "{refused:?}");
    assert!(matches!(troubles.recv().await, Some(Trouble::Failing { .. })));
    assert!(journal.health().failing.is_some());
    for at in 1..30 {
        recorder.record(event(at));
    }
    recorder.record(notice(30));
    assert_eq!(journal.health().dropped.of(Severity::Warning), 20);

    fs::remove_file(&obstacle).unwrap();
    let told = tokio::time::timeout(PATIENCE, troubles.recv()).await.unwrap();
    assert!(matches!(told, Some(Trouble::Recovered { .. })), "{told:?}");
    let kept = journal.query(Filter { order: Order::OldestFirst, ..Filter::default() }).await.unwrap();
    let times: Vec<_> = kept.iter().map(|r| r.event.at.mono.0 - Now::for_test(0).mono.0).collect();
    let newest: Vec<u64> = (21..=30).collect();
    assert_eq!((times[0], &times[1..11]), (0, &newest[..]));
    let dropped = &kept[11].event;
    assert_eq!((dropped.code, dropped.count, dropped.details["warning"].as_str()), (Code::JournalDropped, 20, "20"));
    assert_eq!(journal.health().failing, None);
    close(journal).await;
}
