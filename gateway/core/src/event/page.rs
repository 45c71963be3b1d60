//! The catalogue as a page of the documentation.

use super::CATALOGUE;
use std::fmt::Write as _;

/// The text of `docs/events.md`.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(
        "# Event catalogue\n\n\
         Every event that the journal can hold. This page is made from the catalogue in `gateway/core/src/event`; a test \
         fails when the two differ. A code is stable once released; `--code AUTH` selects every code that begins so. The \
         fields of an event are described in `proto/cordon/v1/events.proto`.\n",
    );
    let mut family = "";
    for entry in CATALOGUE {
        let of_entry = entry.name.split('_').next().unwrap_or(entry.name);
        if of_entry != family {
            family = of_entry;
            // Writing to a string cannot fail.
            let _ =
                write!(page, "\n## {family}\n\n| code | severity | what happened | what to do |\n|---|---|---|---|\n");
        }
        let _ = writeln!(page, "| `{}` | {} | {} | {} |", entry.name, entry.severity, entry.meaning, entry.advice);
    }
    page
}
