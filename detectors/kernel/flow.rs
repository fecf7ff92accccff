//! What a session has touched, and where it may carry that: flows from sources to sinks.
//!
//! A coarse form of taint tracking: whatever was touched earlier in a session may be in what leaves it
//! later. An agent that reads what strangers wrote, then what is private, and then sends something out
//! has all three of what makes an injected instruction dangerous (Willison, "The lethal trifecta", 2025).

use serde::{Deserialize, Serialize};

use super::event::{Class, Event};

/// What was touched.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Taint(u8);

/// When a session first touched something, and when it last reached each sink and what it carried there.
///
/// That follows from when its events happened, in whatever order they came. Times are in milliseconds since any one moment;
/// of what happens at one time, what comes first is first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Course {
    touched: [Option<i32>; Taint::NAMES.len()],
    reached: [Option<(i32, Taint)>; Sink::ALL.len()],
}

/// Where something can do harm that cannot be undone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sink {
    /// Out of the house.
    Outside,
    /// Orders and money.
    Money,
    /// Who may do what, and how things run.
    Rights,
}

/// What had been touched when something reached a sink.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Flow {
    taint: Taint,
    sink: Sink,
}

/// Different flows, each once.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Flows(u32);

impl Taint {
    /// Something that strangers may have written was read.
    const UNTRUSTED: Self = Self(1);
    /// Secrets or what is known of customers was touched.
    const SENSITIVE: Self = Self(2);
    /// Rights, or how things run, were changed.
    const RIGHTS: Self = Self(4);
    const NAMES: [(Self, &'static str); 3] = [
        (Self::UNTRUSTED, "untrusted"),
        (Self::SENSITIVE, "sensitive"),
        (Self::RIGHTS, "rights"),
    ];

    /// What `event` touches.
    #[must_use]
    pub fn of(event: &Event<'_>) -> Self {
        let outside = event.resource_class == Some("external");
        let reads = matches!(event.class, Class::Read | Class::Tool);
        let sensitive = matches!(event.resource_class, Some("secrets" | "customer_pii"));
        let bits = [
            (outside && reads, Self::UNTRUSTED),
            (sensitive, Self::SENSITIVE),
            (event.class == Class::Admin, Self::RIGHTS),
        ];
        let touched = bits.iter().filter(|(touched, _)| *touched);
        Self(touched.fold(0, |all, (_, bit)| all | bit.0))
    }

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl Sink {
    const ALL: [Self; 3] = [Self::Outside, Self::Money, Self::Rights];

    /// The sink that `event` reaches, if it does.
    #[must_use]
    pub fn of(event: &Event<'_>) -> Option<Self> {
        match event.class {
            Class::Order | Class::Payment => Some(Self::Money),
            Class::Admin => Some(Self::Rights),
            _ if event.resource_class == Some("external") => Some(Self::Outside),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Outside => "outside",
            Self::Money => "money",
            Self::Rights => "rights",
        }
    }
}

impl Flow {
    /// How many different flows there may be, those of nothing included.
    pub const COUNT: u32 = 24;

    /// The flow of what was touched into `sink`; nothing of note makes none.
    fn carried(sink: Sink, taint: Taint) -> Option<Self> {
        (taint != Taint::default()).then_some(Self { taint, sink })
    }

    /// The flow with this number, if there is one.
    #[must_use]
    pub fn numbered(number: u32) -> Option<Self> {
        let sink = match number / 8 {
            0 => Sink::Outside,
            1 => Sink::Money,
            2 => Sink::Rights,
            _ => return None,
        };
        Self::carried(sink, Taint((number % 8) as u8))
    }

    /// Its number, below [`Flow::COUNT`].
    #[must_use]
    pub const fn number(self) -> u32 {
        self.sink as u32 * 8 + self.taint.0 as u32
    }

    /// Whether it leaves the house.
    #[must_use]
    pub fn goes_outside(self) -> bool {
        self.sink == Sink::Outside
    }

    /// Whether `other` goes to the same sink and carries all of this and more.
    #[must_use]
    pub fn is_part_of(self, other: Self) -> bool {
        self.sink == other.sink && self.taint != other.taint && other.taint.has(self.taint)
    }

    /// Whether secrets or what is known of customers may be in it.
    #[must_use]
    pub const fn is_sensitive(self) -> bool {
        self.taint.has(Taint::SENSITIVE)
    }
}

impl Course {
    /// Whether `event` touches anything of note, or reaches a sink.
    #[must_use]
    pub fn concerns(event: &Event<'_>) -> bool {
        Sink::of(event).is_some() || Taint::of(event) != Taint::default()
    }

    /// Takes in `event`, which happened `at`, and gives the flows that are made by it: into the sink that it reaches, and,
    /// where it comes late, of what it touches into sinks that were reached after it.
    pub fn note(&mut self, event: &Event<'_>, at: i32, mut each: impl FnMut(Flow)) {
        // What reaches a sink may touch something itself, which it does not carry.
        if let Some(sink) = Sink::of(event) {
            let carried = self.touched_until(at);
            if let Some(flow) = Flow::carried(sink, carried) {
                each(flow);
            }
            let last = &mut self.reached[sink as usize];
            if last.is_none_or(|(reached, _)| reached <= at) {
                *last = Some((at, carried));
            }
        }
        let touches = Taint::of(event);
        for (first, (bit, _)) in self.touched.iter_mut().zip(Taint::NAMES) {
            if touches.has(bit) && first.is_none_or(|first| at < first) {
                *first = Some(at);
            }
        }
        for (sink, last) in Sink::ALL.into_iter().zip(&mut self.reached) {
            if let Some((reached, carried)) = last
                && at < *reached
                && !carried.has(touches)
            {
                carried.0 |= touches.0;
                if let Some(flow) = Flow::carried(sink, *carried) {
                    each(flow);
                }
            }
        }
    }

    /// What was carried to each sink when it was last reached.
    pub fn last_flows(&self) -> Flows {
        let mut flows = Flows::default();
        for (sink, last) in Sink::ALL.into_iter().zip(self.reached) {
            if let Some(flow) = last.and_then(|(_, carried)| Flow::carried(sink, carried)) {
                flows.note(flow);
            }
        }
        flows
    }

    fn touched_until(&self, at: i32) -> Taint {
        let touched = self.touched.iter().zip(Taint::NAMES);
        let touched = touched.filter(|(first, _)| first.is_some_and(|first| first <= at));
        Taint(touched.fold(0, |all, (_, (bit, _))| all | bit.0))
    }
}

impl std::fmt::Display for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let touched = Taint::NAMES.iter().filter(|(bit, _)| self.taint.has(*bit));
        let touched: Vec<&str> = touched.map(|(_, name)| *name).collect();
        write!(f, "{} > {}", touched.join(", "), self.sink.name())
    }
}

impl Flows {
    /// Adds `flow`; tells whether it is new.
    pub fn note(&mut self, flow: Flow) -> bool {
        let before = self.0;
        self.0 |= 1 << flow.number();
        self.0 != before
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Flow> {
        let noted = (0..Flow::COUNT).filter(move |number| self.0 & (1 << number) != 0);
        noted.filter_map(Flow::numbered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(class: Class, resource_class: &str) -> Event<'_> {
        Event {
            class,
            resource_class: Some(resource_class),
            ..Event::default()
        }
    }

    #[test]
    fn a_flow_names_what_was_touched_and_where_it_went() {
        let (web, customer) = (
            event(Class::Tool, "external"),
            event(Class::Read, "customer_pii"),
        );
        let (admin, pays) = (
            event(Class::Admin, "internal_api"),
            event(Class::Payment, "payment_rail"),
        );
        let steps = [(&web, 1), (&customer, 2), (&web, 3)];
        let made = ["untrusted, sensitive > outside (sensitive)"];
        assert_eq!(flows(&steps), made);
        assert_eq!(flows(&[(&admin, 1), (&pays, 2)]), ["rights > money"]);
        assert_eq!(flows(&[(&pays, 1), (&customer, 2)]), [""; 0]);
    }

    #[test]
    fn what_comes_late_is_carried_to_where_the_session_got_after_it_and_no_further_back() {
        let (customer, mail) = (
            event(Class::Read, "customer_pii"),
            event(Class::Write, "external"),
        );
        let made = ["sensitive > outside (sensitive)"];
        assert_eq!(flows(&[(&customer, 1), (&mail, 2)]), made);
        assert_eq!(flows(&[(&mail, 2), (&customer, 1)]), made);
        // What reaches a sink does not carry what it touches itself.
        let admin = event(Class::Admin, "internal_api");
        let web = event(Class::Tool, "external");
        assert_eq!(flows(&[(&web, 2), (&customer, 1)]), made);
        assert_eq!(flows(&[(&web, 2), (&web, 1)]), ["untrusted > outside"]);
        // At one time, what comes first is first, also once something came late.
        let mut course = Course::default();
        for (event, at) in [(&customer, 2), (&mail, 2), (&admin, 1)] {
            course.note(event, at, |_| {});
        }
        let last: Vec<String> = course
            .last_flows()
            .iter()
            .map(|it| it.to_string())
            .collect();
        assert_eq!(last, ["sensitive, rights > outside"]);
        // Once is enough, and what was read only afterwards was not in it.
        assert_eq!(flows(&[(&mail, 2), (&customer, 1), (&customer, 0)]), made);
        assert_eq!(flows(&[(&customer, 2), (&mail, 1)]), [""; 0]);
    }

    /// The flows that a session makes whose events come in this order, each with when it happened.
    fn flows(events: &[(&Event<'_>, i32)]) -> Vec<String> {
        let (mut course, mut made) = (Course::default(), Vec::new());
        for (event, at) in events {
            course.note(event, *at, |flow| {
                let sensitive = if flow.is_sensitive() {
                    " (sensitive)"
                } else {
                    ""
                };
                made.push(format!("{flow}{sensitive}"));
            });
        }
        made
    }

    #[test]
    fn flows_are_numbered_apart_and_noted_once() {
        let (mut flows, mut all) = (Flows::default(), 0);
        for sink in [Sink::Outside, Sink::Money, Sink::Rights] {
            for bits in 1..8 {
                let flow = Flow {
                    taint: Taint(bits),
                    sink,
                };
                assert!(flows.note(flow) && !flows.note(flow));
                assert_eq!(Flow::numbered(flow.number()), Some(flow));
                all += 1;
            }
        }
        assert_eq!(flows.iter().count(), all);
    }
}
