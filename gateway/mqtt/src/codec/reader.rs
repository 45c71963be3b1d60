//! A cursor over the body of a packet that reads the data types of the standard (MQTT 5, 1.5).

use super::fixed::Varint;
use super::properties::PropertyBlock;
use super::rules::{self, Broken};
use std::fmt;
use std::num::NonZeroU16;

/// What has not been read yet. After an error its position means nothing.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

// === impl Reader ===

impl<'a> Reader<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Everything that is left.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Nothing may be left.
    #[inline]
    pub(super) fn end(&self) -> Result<(), Broken> {
        if self.rest.is_empty() { Ok(()) } else { Err(&rules::TRAILING) }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(&rules::TRUNCATED)?;
        self.rest = rest;
        Ok(*head)
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], Broken> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(&rules::TRUNCATED)?;
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, Broken> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Result<u16, Broken> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Result<u32, Broken> {
        self.array().map(u32::from_be_bytes)
    }

    /// A byte that must be 0 or 1; otherwise `rule` is broken.
    #[inline]
    pub(super) fn flag(&mut self, rule: Broken) -> Result<bool, Broken> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(rule),
        }
    }

    #[inline]
    pub(super) fn packet_id(&mut self) -> Result<NonZeroU16, Broken> {
        NonZeroU16::new(self.u16()?).ok_or(&rules::PACKET_ID_ZERO)
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u32, Broken> {
        let varint = Varint::read(self.rest)?.ok_or(&rules::TRUNCATED)?;
        if !varint.is_minimal() {
            return Err(&rules::VARINT_NOT_MINIMAL);
        }
        self.take(varint.len)?;
        Ok(varint.value)
    }

    /// Binary data (1.5.6).
    #[inline]
    pub(super) fn binary(&mut self) -> Result<&'a [u8], Broken> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// A UTF-8 string (1.5.4). Control characters and a byte order mark are legal and kept.
    #[inline]
    pub(super) fn string(&mut self) -> Result<&'a str, Broken> {
        let bytes = self.binary()?;
        let text = std::str::from_utf8(bytes).map_err(|_| &rules::UTF8)?;
        if bytes.iter().fold(false, |found, &byte| found | (byte == 0)) {
            return Err(&rules::UTF8_NUL);
        }
        Ok(text)
    }

    /// A topic name, which may be empty here; a wildcard in it breaks `wildcard`.
    #[inline]
    pub(super) fn topic_name(&mut self, wildcard: Broken) -> Result<&'a str, Broken> {
        let bytes = self.binary()?;
        let text = std::str::from_utf8(bytes).map_err(|_| &rules::UTF8)?;
        // Without an early exit the compiler checks many bytes at a time.
        if bytes.iter().fold(false, |found, &byte| found | matches!(byte, 0 | b'+' | b'#')) {
            return Err(if bytes.contains(&0) { &rules::UTF8_NUL } else { wildcard });
        }
        Ok(text)
    }

    /// A UTF-8 string pair (1.5.7), checked and skipped.
    #[inline]
    pub(super) fn string_pair(&mut self) -> Result<(), Broken> {
        self.string()?;
        self.string()?;
        Ok(())
    }

    /// The length of the properties and their bytes (2.2.2), not looked into.
    #[inline]
    pub(super) fn property_block(&mut self) -> Result<PropertyBlock<'a>, Broken> {
        let len = self.varint()?;
        let bytes = self.take(len as usize).map_err(|_| &rules::PROPERTY_LENGTH)?;
        Ok(PropertyBlock::new(bytes))
    }

    /// Passes over binary data or a string.
    pub(super) fn skip_binary(&mut self) -> Result<(), Broken> {
        self.binary().map(|_| ())
    }

    /// Passes over `len` bytes.
    pub(super) fn skip(&mut self, len: usize) -> Result<(), Broken> {
        self.take(len).map(|_| ())
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.rest.len())
    }
}
