//! Sizes in bytes as people write them: `65536`, `64KiB`, `1MiB`, `1GiB`.

/// The units, largest first, with their length in bytes.
const UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// Reads a size: a whole number, alone for bytes or with one of the units `KiB`, `MiB`, `GiB`, `TiB`.
pub(super) fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit.trim_start() {
        "" => Some(number),
        unit => UNITS.iter().find(|(name, _)| *name == unit).and_then(|(_, bytes)| number.checked_mul(*bytes)),
    }
}

/// Writes a size with the largest unit that divides it.
pub(super) fn format(bytes: u64) -> String {
    match UNITS.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_mean_them_and_print_the_same() {
        for (text, bytes) in [("512", 512), ("64KiB", 65_536), ("3MiB", 3 << 20), ("1GiB", 1 << 30), ("2TiB", 2 << 40)]
        {
            assert_eq!(parse(text), Some(bytes), "{text}");
            assert_eq!(format(bytes), text);
        }
        assert_eq!(parse(" 1 GiB "), Some(1 << 30));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in
            ["", "MiB", "-1", "1.5MiB", "1MB", "1m", "99999999999999999999", "18446744073709551615TiB", "1 KiBs"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
