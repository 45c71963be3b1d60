//! What the process itself uses.

use std::fs;

/// Resident memory in bytes; `None` where the system does not say.
pub(crate) fn resident_bytes() -> Option<u64> {
    resident(&fs::read_to_string("/proc/self/status").ok()?)
}

/// Read from `status` and not `statm`, which counts in pages whose size differs between boards.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_bytes() {
        assert_eq!(resident("Name:\tcordon\nVmRSS:\t    2048 kB\nThreads:\t3\n"), Some(2 * 1024 * 1024));
        assert_eq!(resident("Name:\tcordon\n"), None);
        assert!(resident_bytes().is_some_and(|bytes| bytes > 100_000));
    }
}
