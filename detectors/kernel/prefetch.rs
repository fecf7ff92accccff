//! Fetching into the processor's cache what will soon be looked at.

/// Has the processor begin to fetch what lies where `value` begins; it waits for nothing, and changes nothing.
pub(crate) fn prefetch<T>(value: &T) {
    prefetch_index::prefetch_index(std::slice::from_ref(value), 0);
}
