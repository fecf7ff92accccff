//! How a state record lies in the compacted topic: a header round the engine's payload.

use xxhash_rust::xxh3::xxh3_64;

/// Key of the record that ties a partition's state to its input.
pub const PROGRESS: &[u8] = b"\0progress";

/// Layout of the frame.
const VERSION: u8 = 2;
/// Version, offset and checksum.
const HEADER: usize = 1 + 8 + 8;

/// Wraps `payload`, which is as of input offset `as_of`, into `to`, replacing what was there.
pub fn wrap(as_of: i64, payload: &[u8], to: &mut Vec<u8>) {
    to.clear();
    to.push(VERSION);
    to.extend_from_slice(&as_of.to_be_bytes());
    to.extend_from_slice(&xxh3_64(payload).to_be_bytes());
    to.extend_from_slice(payload);
}

/// The payload of a frame.
///
/// # Errors
/// Where it is of another version, cut off or damaged; the text says which.
pub fn unwrap(frame: &[u8]) -> Result<&[u8], String> {
    let (checksum, payload) = open(frame)?;
    if checksum != xxh3_64(payload) {
        return Err("the checksum does not fit the payload".to_owned());
    }
    Ok(payload)
}

/// The same of a frame that is known to be whole, as a checksum of all that it lay in was right: to compute another one
/// takes a tenth of the time of a restart.
///
/// # Errors
/// Where it is of another version or cut off.
pub(super) fn unwrap_whole(frame: &[u8]) -> Result<&[u8], String> {
    open(frame).map(|(_, payload)| payload)
}

/// The checksum and the payload of a frame of our version.
fn open(frame: &[u8]) -> Result<(u64, &[u8]), String> {
    let Some((header, payload)) = frame.split_at_checked(HEADER) else {
        return Err(format!(
            "{} bytes are too few for a state record",
            frame.len()
        ));
    };
    if header[0] != VERSION {
        return Err(format!("frame version {} is not {VERSION}", header[0]));
    }
    let checksum = header[9..].try_into().map(u64::from_be_bytes);
    Ok((checksum.unwrap_or_default(), payload))
}

/// How far a partition had come at a commit.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    /// The next input offset.
    pub next: i64,
    /// As of which input offset the state is stored: a restart goes on from there.
    pub stored: i64,
    /// How many partitions the event topic had: with another number, identities are elsewhere.
    pub partitions: i32,
    /// Digest of the decision in force.
    pub decision: String,
    /// When this state was begun, in milliseconds since 1970: one that was deleted and learned anew is another.
    #[serde(default)]
    pub begun: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back_and_every_damaged_byte_is_noticed() {
        let mut frame = Vec::new();
        wrap(42, b"payload", &mut frame);
        assert_eq!(unwrap(&frame), Ok(b"payload".as_slice()));
        assert_eq!(unwrap_whole(&frame), unwrap(&frame));
        for at in (0..1).chain(9..frame.len()) {
            let mut damaged = frame.clone();
            damaged[at] ^= 0x40;
            assert!(unwrap(&damaged).is_err(), "byte {at}");
        }
        assert!(unwrap(&frame[..10]).is_err());
    }
}
