//! Parts of what we do that a bench leaves out, to see what they are worth; not in any other build.

use std::cell::Cell;

/// A part that can be left out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// The tail that is learned for each identity.
    Tail,
    /// Cutting back what stands out before it is learned.
    Winsorising,
    /// What busy peers explain.
    Nowcast,
    /// The ways that sessions go as a whole.
    Paths,
    /// What a session has touched before it reaches a sink.
    Flows,
    /// To what things are done.
    Targets,
}

thread_local! {
    static WITHOUT: Cell<Option<Part>> = const { Cell::new(None) };
}

/// Lets every engine of this thread do without `part` from now on.
pub fn leave_out(part: Option<Part>) {
    WITHOUT.set(part);
}

pub(crate) fn without(part: Part) -> bool {
    WITHOUT.get() == Some(part)
}
