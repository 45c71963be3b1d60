//! The data types of the standard, written (MQTT 5, 1.5), and the fixed header.

use crate::codec::fixed::{MAX_REMAINING, Varint};
use bytes::{BufMut, BytesMut};

/// The length of the packet with `remaining` bytes after the fixed header; 0 when it cannot be written.
#[inline]
pub(super) const fn packet_len(remaining: usize) -> usize {
    if remaining > MAX_REMAINING { 0 } else { 1 + Varint::len_of(remaining) + remaining }
}

/// Makes room for the packet and writes its fixed header. `remaining` is at most [`MAX_REMAINING`].
#[inline]
pub(super) fn put_header(buf: &mut BytesMut, first: u8, remaining: usize) {
    buf.reserve(packet_len(remaining));
    buf.put_u8(first);
    put_varint(buf, remaining);
}

/// `value` is at most [`MAX_REMAINING`].
#[inline]
pub(super) fn put_varint(buf: &mut BytesMut, mut value: usize) {
    while value > 0x7F {
        buf.put_u8((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    buf.put_u8(value as u8);
}

/// The part of `text` that fits into a string of the standard.
#[inline]
pub(super) fn fitting(text: &str) -> &str {
    let mut end = text.len().min(usize::from(u16::MAX));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The part of `data` that fits into binary data of the standard.
#[inline]
pub(super) fn fitting_bytes(data: &[u8]) -> &[u8] {
    data.get(..usize::from(u16::MAX)).unwrap_or(data)
}

/// Writes binary data, or a string, of at most 65,535 bytes.
#[inline]
pub(super) fn put_binary(buf: &mut BytesMut, data: &[u8]) {
    let data = fitting_bytes(data);
    buf.put_u16(data.len() as u16);
    buf.put_slice(data);
}

/// The length of a property that holds a string.
#[inline]
pub(super) fn string_property_len(text: Option<&str>) -> usize {
    text.map_or(0, |text| 3 + fitting(text).len())
}

/// Writes a property that holds a string.
#[inline]
pub(super) fn put_string_property(buf: &mut BytesMut, id: u8, text: Option<&str>) {
    if let Some(text) = text {
        buf.put_u8(id);
        put_binary(buf, fitting(text).as_bytes());
    }
}
