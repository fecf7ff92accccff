//! The bounds on what one engine keeps.

use super::event::words;

words! {
    /// A bound on what one engine keeps, where reaching it loses something; each time is counted.
    Limit {
        /// An event or an inventory entry found no room for its identity.
        Identities = "identities",
        /// An event found no room for its identity among those that have no history yet.
        Newcomers = "newcomers",
        /// An event's id was not kept: a repetition of the event will count as another one.
        Duplicates = "duplicates",
        /// A step's name was not kept: alerts spell the step as a number.
        Names = "names",
        /// A finding of an identity with too many open incidents raised no alert.
        Incidents = "incidents",
        /// A detector began to forget what it knows of an identity.
        Memory = "memory",
    }
}
