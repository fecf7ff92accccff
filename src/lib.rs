//! nhiwatch.
