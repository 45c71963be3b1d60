//! What was acknowledged survives `kill -9`.

use crate::{PATIENCE, close, event, host, notice, open};
use cordon_journal::{Bucket, Filter, Outbox, OutboxLimits, State};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

const DIRECTORY: &str = "CORDON_TEST_KILL_DIRECTORY";
const ROUNDS: usize = 6;

/// Not a test: what the child process does until it is killed. Without the variable it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_process_writes_until_it_is_killed() {
    let Some(root) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let root = Path::new(&root);
    let (journal, report) = open(&root.join("journal"));
    assert_eq!(report.troubles, []);
    let (state, _) = State::open(&root.join("state"), &host()).unwrap();
    let (outbox, _) = Outbox::open(&root.join("outbox"), OutboxLimits::default(), &host()).unwrap();
    let recorder = journal.recorder();
    for at in 0.. {
        for bulk in 0..at % 50 {
            recorder.record(event(bulk));
        }
        let seq = recorder.record_durably(notice(at)).await.unwrap();
        say(&format!("journal {seq}"));
        let key = (at % 7).to_string();
        state.put_json(Bucket::Orders, &key, &seq).await.unwrap();
        say(&format!("state {key} {seq}"));
        let id = outbox.push(1, "cordon/summary", vec![7; 900]).await.unwrap().id;
        say(&format!("pushed {id}"));
        if id % 3 == 0 {
            outbox.ack(id).await.unwrap();
            say(&format!("acked {id}"));
        }
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n:{line}").unwrap();
    out.flush().unwrap();
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::default();
    for round in 0..ROUNDS {
        acknowledged.run_and_kill(dir.path(), 40 + 61 * round);

        let (journal, report) = open(&dir.path().join("journal"));
        assert_eq!(report.troubles, [], "round {round}");
        let held = journal.query(Filter { limit: 10_000, ..Filter::default() }).await.unwrap();
        assert!(held.first().map(|r| r.seq) >= acknowledged.journal.last().copied());
        for seq in acknowledged.journal.iter().rev().take(200) {
            assert!(held.iter().any(|r| r.seq == *seq), "round {round}: event {seq}");
        }
        assert_eq!(journal.verify().await.unwrap().broken, None, "round {round}");
        close(journal).await;

        let (state, report) = State::open(&dir.path().join("state"), &host()).unwrap();
        assert_eq!(report.troubles, [], "round {round}");
        for (key, seq) in &acknowledged.state {
            let held: Option<u64> = state.get_json(Bucket::Orders, key).await.unwrap();
            assert!(held >= Some(*seq), "round {round}: {key} is {held:?}, acknowledged was {seq}");
        }
        state.shutdown(PATIENCE).await.unwrap();

        let (outbox, report) = Outbox::open(&dir.path().join("outbox"), OutboxLimits::default(), &host()).unwrap();
        assert_eq!(report.troubles, [], "round {round}");
        let held = outbox.peek(0, usize::MAX).await.unwrap();
        for (id, acked) in &acknowledged.outbox {
            let found = held.iter().find(|entry| entry.id == *id);
            assert!(
                found.is_some_and(|entry| entry.payload == [7; 900]) || *acked || id % 3 == 0,
                "round {round}: {id}"
            );
            assert!(!(*acked && found.is_some()), "round {round}: entry {id} came back");
        }
        outbox.shutdown(PATIENCE).await.unwrap();
    }
}

#[derive(Default)]
struct Acknowledged {
    journal: Vec<u64>,
    state: BTreeMap<String, u64>,
    /// Entries that were pushed, and whether they were acknowledged.
    outbox: BTreeMap<u64, bool>,
}

impl Acknowledged {
    fn run_and_kill(&mut self, root: &Path, lines: usize) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["kill::a_child_process_writes_until_it_is_killed", "--exact", "--nocapture"])
            .env(DIRECTORY, root)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut heard = 0;
        // What was said before the kill took hold is still in the pipe and counts.
        for line in out.lines().map_while(Result::ok) {
            let Some(line) = line.strip_prefix(':') else { continue };
            self.hear(line);
            heard += 1;
            if heard == lines {
                child.kill().unwrap();
            }
        }
        let status = child.wait().unwrap();
        assert!(heard >= lines, "the child ended by itself: {status}");
    }

    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["journal", seq] => self.journal.push(seq.parse().unwrap()),
            ["state", key, seq] => drop(self.state.insert(key.to_owned(), seq.parse().unwrap())),
            ["pushed", id] => drop(self.outbox.insert(id.parse().unwrap(), false)),
            ["acked", id] => drop(self.outbox.insert(id.parse().unwrap(), true)),
            _ => panic!("the child said `{line}`"),
        }
    }
}
