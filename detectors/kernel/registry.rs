//! Turns the list of detectors into config, state, dispatch and cards.

/// What one detector said of one event; a failure is a bug in it.
#[derive(Debug)]
pub(crate) enum Said {
    /// Its verdict.
    Verdict(super::detector::Verdict),
    /// It panicked.
    Failed,
}

/// What the engine must know of a detector that has learned.
#[derive(Debug)]
pub(crate) enum Learned {
    /// From now on it forgets some of what it knew of the identity.
    Full,
    /// It panicked.
    Failed,
}

/// Declares the detectors: `name: module::Type,` for each, in alphabetical order.
///
/// For `off_hours: off_hours::OffHours,` it makes a section `off-hours` in [`Configs`], a field in
/// `States`, an entry in [`CARDS`], and a call in each function of `Detectors`. A module that stands
/// in `lib.rs` but not in this list is an unused type, which the compiler warns of. An attribute
/// before a name, such as `#[cfg(test)]`, holds for all of these.
macro_rules! registry {
    ($($(#[$when:meta])* $name:ident: $detector:ty,)+) => {
        use $crate::kernel::baseline::{Baseline, Closed, Profile};
        use $crate::kernel::calendar::Calendars;
        use $crate::kernel::codec;
        use $crate::kernel::detector::{Card, Detector, Evidence, Mode, Slot};
        use $crate::kernel::event::Event;
        use $crate::kernel::inventory::Declared;
        use $crate::kernel::registry::{Learned, Said};
        use $crate::kernel::time::{Span, Timestamp};

        /// Every detector's section of the config file.
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
        #[expect(missing_docs, reason = "each field is the section of the detector of that name")]
        pub struct Configs {
            $($(#[$when])* pub $name: Slot<<$detector as Detector>::Config>,)+
        }

        impl Configs {
            /// How long each detector watches an identity before it judges it, indexed as [`CARDS`];
            /// nothing for a detector that is off.
            #[must_use]
            pub fn learning(&self) -> [Option<Span>; CARDS.len()] {
                [$($(#[$when])* (self.$name.mode != Mode::Off).then(|| {
                    <$detector as Detector>::learning(&self.$name.config)
                }),)+]
            }
        }

        /// Every detector's card, in order.
        pub const CARDS: &[Card] = &[$($(#[$when])* <$detector as Detector>::CARD,)+];

        /// The detectors that are on.
        pub(crate) struct Detectors {
            $($(#[$when])* $name: Option<(Mode, $detector)>,)+
        }

        /// What the detectors remember about one identity.
        #[derive(Clone, Default)]
        pub(crate) struct States {
            $($(#[$when])* $name: <$detector as Detector>::State,)+
        }

        impl States {
            /// Has where each begins fetched into the processor's cache.
            pub(crate) fn prefetch(&self) {
                $($(#[$when])* $crate::kernel::prefetch::prefetch(&self.$name);)+
            }
        }

        impl Detectors {
            pub(crate) fn new(configs: &Configs, calendars: &Calendars) -> Self {
                Self {
                    $($(#[$when])* $name: (configs.$name.mode != Mode::Off).then(|| {
                        let config = configs.$name.config.clone();
                        (configs.$name.mode, <$detector as Detector>::new(config, calendars))
                    }),)+
                }
            }

            /// Lets every detector judge; `each` gets its index in [`CARDS`], its mode and verdict.
            pub(crate) fn judge(
                &self,
                event: &Event<'_>,
                profile: &Profile<'_>,
                states: &States,
                mut each: impl FnMut(usize, Mode, Said),
            ) {
                let mut index = 0;
                $($(#[$when])* {
                    if let Some((mode, detector)) = &self.$name {
                        each(index, *mode, said(|| detector.judge(event, profile, &states.$name)));
                    }
                    index += 1;
                })+
                let _ = index;
            }

            /// Holds an event against every detector's rules.
            pub(crate) fn rule(
                &self,
                event: &Event<'_>,
                declared: Option<&Declared>,
                mut each: impl FnMut(usize, Mode, Said),
            ) {
                let mut index = 0;
                $($(#[$when])* {
                    if let Some((mode, detector)) = &self.$name {
                        each(index, *mode, said(|| detector.rule(event, declared)));
                    }
                    index += 1;
                })+
                let _ = index;
            }

            /// Lets every detector look once more at what is over.
            pub(crate) fn review(
                &self,
                over: &Closed,
                profile: &Profile<'_>,
                states: &States,
                mut each: impl FnMut(usize, Mode, Said),
            ) {
                let mut index = 0;
                $($(#[$when])* {
                    if let Some((mode, detector)) = &self.$name {
                        each(index, *mode, said(|| detector.review(over, profile, &states.$name)));
                    }
                    index += 1;
                })+
                let _ = index;
            }

            /// Lets every detector judge that nothing has happened until `now`.
            pub(crate) fn wake(
                &self,
                now: Timestamp,
                profile: &Profile<'_>,
                states: &States,
                mut each: impl FnMut(usize, Mode, Said),
            ) {
                let mut index = 0;
                $($(#[$when])* {
                    if let Some((mode, detector)) = &self.$name {
                        each(index, *mode, said(|| detector.wake(now, profile, &states.$name)));
                    }
                    index += 1;
                })+
                let _ = index;
            }

            /// What every detector has to tell of an identity, by its name.
            pub(crate) fn stories(
                &self,
                profile: &Profile<'_>,
                states: &States,
            ) -> Vec<(&'static str, Evidence)> {
                let mut stories = Vec::new();
                $($(#[$when])* {
                    if let Some((_, detector)) = &self.$name {
                        let told = survives(|| detector.story(profile, &states.$name));
                        let told = told.filter(|told| !told.is_empty());
                        stories.extend(told.map(|told| (<$detector as Detector>::CARD.name, told)));
                    }
                })+
                stories
            }

            /// The earliest time at which a detector wants to judge that nothing has happened.
            pub(crate) fn deadline(
                &self,
                profile: &Profile<'_>,
                states: &States,
            ) -> Option<Timestamp> {
                let mut earliest: Option<Timestamp> = None;
                $($(#[$when])* {
                    if let Some((_, detector)) = &self.$name {
                        let at = survives(|| detector.deadline(profile, &states.$name)).flatten();
                        earliest = [earliest, at].into_iter().flatten().min();
                    }
                })+
                earliest
            }

            /// Lets every detector learn; `each` gets the index in [`CARDS`] of one that could not, or
            /// that begins to forget.
            pub(crate) fn learn(
                &self,
                closed: &Closed,
                baseline: &Baseline,
                states: &mut States,
                mut each: impl FnMut(usize, Learned),
            ) {
                let mut index = 0;
                $($(#[$when])* {
                    if let Some((_, detector)) = &self.$name {
                        let state = &mut states.$name;
                        let forgot = <$detector as Detector>::forgets(state);
                        if survives(|| detector.learn(closed, baseline, state)).is_none() {
                            each(index, Learned::Failed);
                        } else if !forgot && <$detector as Detector>::forgets(state) {
                            each(index, Learned::Full);
                        }
                    }
                    index += 1;
                })+
                let _ = index;
            }
        }

        impl States {
            pub(crate) fn encode(&self) -> Vec<codec::DetectorState> {
                Vec::from([$($(#[$when])* codec::DetectorState::of::<$detector>(&self.$name),)+])
            }

            /// The states among `stored`; what is missing or of another layout starts anew.
            pub(crate) fn decode(stored: &[codec::DetectorState]) -> Self {
                Self { $($(#[$when])* $name: codec::DetectorState::find::<$detector>(stored),)+ }
            }
        }

        fn said(judge: impl FnOnce() -> $crate::kernel::detector::Verdict) -> Said {
            survives(judge).map_or(Said::Failed, Said::Verdict)
        }

        /// A bug in one detector must not stop the partition.
        fn survives<T>(call: impl FnOnce() -> T) -> Option<T> {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).ok()
        }
    };
}
pub(crate) use registry;
