//! Hashes as text.

use sha2::{Digest as _, Sha256};

/// Ends `hash`; gives it in hex.
#[must_use]
pub fn hex(hash: Sha256) -> String {
    let bytes = hash.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
