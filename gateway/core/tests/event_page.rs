//! The documentation's page of events is the catalogue's. `BLESS=1 cargo test -p cordon-core --test event_page` writes it.

use std::path::Path;

#[test]
fn the_page_of_events_is_the_catalogue() -> std::io::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/events.md");
    let wanted = cordon_core::event::page();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &wanted)?;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "docs/events.md is out of date; run with BLESS=1");
    Ok(())
}
