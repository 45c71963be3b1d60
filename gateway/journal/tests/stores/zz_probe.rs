use crate::*;
use std::time::Instant;
use cordon_journal::*;
fn rss() -> u64 { let s = std::fs::read_to_string("/proc/self/statm").unwrap(); s.split(' ').nth(1).unwrap().parse::<u64>().unwrap()*4/1024 }
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probe_big() {
    let Some(dir) = std::env::var_os("PROBE_DIR") else { return };
    let dir = Path::new(&dir).join("big");
    let t = Instant::now();
    eprintln!("rss before {}", rss());
    let (journal, report) = open(&dir);
    eprintln!("open {:?} {report:?} rss {} {:?}", t.elapsed(), rss(), journal.stats());
    if std::env::var_os("PROBE_FILL").is_some() {
        let t = Instant::now();
        let n = 1_500_000u64;
        for at in 0..n {
            journal.recorder().record(event(at).client_id(format!("client-{at}")).reason("a policy does not let this principal publish to this topic").rule(format!("policy line statement {}", at % 7)).principal(format!("cert:press-{}", at % 5000)).detail("h", format!("{:x}", at.wrapping_mul(0x9E3779B97F4A7C15))));
            if at % 8000 == 0 { journal.flush().await.unwrap(); }
        }
        journal.flush().await.unwrap();
        eprintln!("fill {:?} = {:.0}/s rss {} {:?} {:?}", t.elapsed(), n as f64 / t.elapsed().as_secs_f64(), rss(), journal.stats(), journal.health());
    }
    let t = Instant::now();
    let n = 500;
    for at in 0..n { journal.recorder().record_durably(notice(at)).await.unwrap(); }
    eprintln!("durable one by one {:?} each", t.elapsed() / n as u32);
    let t = Instant::now();
    let f = journal.query(Filter::default()).await.unwrap();
    eprintln!("newest 1000 {:?} ({}) rss {}", t.elapsed(), f.len(), rss());
    let t = Instant::now();
    let f = journal.query(Filter{thing: Some("nothing".into()), ..Filter::default()}).await.unwrap();
    eprintln!("whole {:?} ({}) rss {}", t.elapsed(), f.len(), rss());
    let t = Instant::now();
    let f = journal.verify().await.unwrap();
    eprintln!("verify {:?} {f:?} rss {}", t.elapsed(), rss());
    let t = Instant::now();
    close(journal).await;
    eprintln!("close {:?} rss {}", t.elapsed(), rss());
}
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probe_full() {
    let Some(dir) = std::env::var_os("PROBE_FULL") else { return };
    let dir = Path::new(&dir);
    let (host, mut troubles) = listening_host();
    let (journal, report) = Journal::open(JournalOptions::new(dir.join("journal"), host.clone())).unwrap();
    eprintln!("{report:?}");
    let (state, report) = State::open(&dir.join("state"), &host).unwrap();
    eprintln!("{report:?}");
    let mut last = 0;
    let mut laststate = 0;
    for at in 0.. {
        for b in 0..500u64 { journal.recorder().record(event(b).detail("h", format!("{:x}", (at*b).wrapping_mul(0x9E3779B97F4A7C15)))); }
        match tokio::time::timeout(Duration::from_secs(20), journal.recorder().record_durably(notice(at))).await.expect("hang") {
            Ok(seq) => last = seq,
            Err(e) => { eprintln!("at {at}: {e}"); break }
        }
        match tokio::time::timeout(Duration::from_secs(20), state.put(Bucket::Meta, &at.to_string(), vec![1;3000])).await.expect("state hang") { Ok(()) => laststate = at, Err(e) => { eprintln!("state {at}: {e}"); break } }
    }
    let r = tokio::time::timeout(Duration::from_secs(20), state.put(Bucket::Meta, "x", vec![1;3000])).await.expect("state hang"); eprintln!("state then {r:?}");
    let r = tokio::time::timeout(Duration::from_secs(20), journal.recorder().record_durably(notice(7))).await.expect("hang"); eprintln!("journal then {r:?}");
    while let Ok(t) = troubles.try_recv() { eprintln!("trouble {t}"); }
    std::fs::remove_file(dir.join("ballast")).unwrap();
    let r = tokio::time::timeout(Duration::from_secs(20), state.put(Bucket::Meta, "x", vec![1;3000])).await.expect("state hang"); eprintln!("state after room {r:?}");
    let mut tries = 0;
    loop { tries += 1; let r = tokio::time::timeout(Duration::from_secs(20), journal.recorder().record_durably(notice(7))).await.expect("hang"); if let Ok(s) = r { eprintln!("journal after room {s} last acked {last} tries {tries}"); break } if tries > 100 { eprintln!("{r:?}"); break } tokio::time::sleep(Duration::from_millis(100)).await; }
    while let Ok(t) = troubles.try_recv() { eprintln!("trouble {t}"); }
    eprintln!("{:?} {:?}", journal.stats(), journal.health());
    eprintln!("{:?}", journal.verify().await);
    eprintln!("laststate {laststate} {:?}", state.get(Bucket::Meta, &laststate.to_string()).await.unwrap().map(|v| v.len()));
    close(journal).await;
}
