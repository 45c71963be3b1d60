//! What clients said in a packet capture (pcap, draft-ietf-opsawg-pcap): the bytes of each TCP stream towards port 1883.

use std::collections::BTreeMap;
use std::path::Path;

const ETHERNET: u32 = 1;
const MQTT_PORT: u16 = 1883;

/// The client's bytes of each stream, in the order in which the streams begin.
pub(crate) fn clients(file: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(file).unwrap();
    assert_eq!(bytes[..4], [0xd4, 0xc3, 0xb2, 0xa1], "{}: not a little-endian pcap", file.display());
    let ethernet = little(&bytes[20..24]) == ETHERNET;
    let mut streams: Vec<Stream> = Vec::new();
    let mut rest = &bytes[24..];
    while rest.len() >= 16 {
        let length = little(&rest[8..12]) as usize;
        let frame = &rest[16..16 + length];
        if let Some(segment) = segment(if ethernet { &frame[14..] } else { frame })
            && segment.to == MQTT_PORT
        {
            match streams.iter_mut().find(|stream| stream.key == segment.key) {
                Some(stream) => stream.add(&segment),
                None => streams.push(Stream::begun(&segment)),
            }
        }
        rest = &rest[16 + length..];
    }
    streams.into_iter().map(Stream::whole).filter(|bytes| !bytes.is_empty()).collect()
}

struct Segment<'a> {
    /// Both addresses and the client's port.
    key: Vec<u8>,
    to: u16,
    sequence: u32,
    begins: bool,
    data: &'a [u8],
}

struct Stream {
    key: Vec<u8>,
    first: u32,
    parts: BTreeMap<u32, Vec<u8>>,
}

impl Stream {
    fn begun(segment: &Segment<'_>) -> Self {
        let first = segment.sequence.wrapping_add(u32::from(segment.begins));
        let mut stream = Self { key: segment.key.clone(), first, parts: BTreeMap::new() };
        stream.add(segment);
        stream
    }

    fn add(&mut self, segment: &Segment<'_>) {
        let at = segment.sequence.wrapping_add(u32::from(segment.begins)).wrapping_sub(self.first);
        if !segment.data.is_empty() {
            self.parts.insert(at, segment.data.to_vec());
        }
    }

    /// The bytes in order, repeated segments once, up to the first gap.
    fn whole(self) -> Vec<u8> {
        let mut whole: Vec<u8> = Vec::new();
        let begin = self.parts.keys().next().copied().unwrap_or(0);
        for (at, part) in self.parts {
            let at = (at - begin) as usize;
            if at > whole.len() {
                break;
            }
            whole.extend_from_slice(part.get(whole.len() - at..).unwrap_or_default());
        }
        whole
    }
}

/// The TCP segment in an IP packet.
fn segment(packet: &[u8]) -> Option<Segment<'_>> {
    let (addresses, tcp) = match packet.first()? >> 4 {
        4 if packet[9] == 6 => {
            (&packet[12..20], &packet[usize::from(packet[0] & 15) * 4..usize::from(big(&packet[2..4]))])
        }
        6 if packet[6] == 6 => (&packet[8..40], &packet[40..40 + usize::from(big(&packet[4..6]))]),
        _ => return None,
    };
    Some(Segment {
        key: [addresses, &tcp[..2]].concat(),
        to: big(&tcp[2..4]),
        sequence: u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]),
        begins: tcp[13] & 2 != 0,
        data: &tcp[usize::from(tcp[12] >> 4) * 4..],
    })
}

fn little(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

fn big(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u16::from(*byte))
}
