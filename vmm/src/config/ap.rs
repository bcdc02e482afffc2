// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a user may ask for of an AP matrix device.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::report::NotifyReason;

/// An AP matrix device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ApConfig {
    /// The device's directory in sysfs.
    pub sysfsdev: PathBuf,
    /// How control requests call it.
    #[serde(default = "default_id")]
    pub id: String,
    /// What the guest is told of changes.
    #[serde(default)]
    pub events: ApEvents,
    /// How the device is opened.
    #[serde(default)]
    pub backend: ApBackend,
}

/// What the guest is told of changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "EventsKey", into = "EventsKey")]
pub enum ApEvents {
    /// Each, and of the last one once more after a pause.
    #[default]
    On,
    /// Each.
    Once,
    /// None: it finds out by itself, as under a VMM that knows no such
    /// events.
    Off,
}

/// How a guest is told of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Telling {
    /// At once, and once more after a pause without changes.
    AndAgain,
    /// At once.
    Once,
    /// Not at all.
    Not,
}

impl ApEvents {
    /// How the guest is told of a change of this kind. What a user asks for is
    /// done.
    pub fn telling(self, reason: NotifyReason) -> Telling {
        match (self, reason) {
            (Self::On, _) => Telling::AndAgain,
            (Self::Once, _) | (Self::Off, NotifyReason::User) => Telling::Once,
            (Self::Off, _) => Telling::Not,
        }
    }
}

/// [`ApEvents`] as it is written.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected true, false or \"once\"")]
enum EventsKey {
    Switch(bool),
    Word(EventsWord),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum EventsWord {
    Once,
}

impl From<EventsKey> for ApEvents {
    fn from(key: EventsKey) -> Self {
        match key {
            EventsKey::Switch(true) => Self::On,
            EventsKey::Switch(false) => Self::Off,
            EventsKey::Word(EventsWord::Once) => Self::Once,
        }
    }
}

impl From<ApEvents> for EventsKey {
    fn from(events: ApEvents) -> Self {
        match events {
            ApEvents::On => Self::Switch(true),
            ApEvents::Once => Self::Word(EventsWord::Once),
            ApEvents::Off => Self::Switch(false),
        }
    }
}

/// How a VFIO device is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApBackend {
    /// By its group if that can be opened, else by its node.
    #[default]
    Auto,
    /// By `/dev/vfio/N` and a container.
    Group,
    /// By `/dev/vfio/devices/vfioN` and `/dev/iommu`.
    Cdev,
}

fn default_id() -> String {
    "ap0".into()
}

/// What an AP device option looks like.
pub const AP_FORM: &str = "sysfsdev=PATH[,id=NAME][,events=on|once|off][,backend=auto|group|cdev]";

/// [`AP_FORM`].
impl FromStr for ApConfig {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let error = || ConfigError::Option {
            option: text.into(),
            expected: AP_FORM,
        };
        let (mut sysfsdev, mut id, mut events, mut backend) = (None, None, None, None);
        for pair in text.split(',') {
            let (key, value) = pair.split_once('=').ok_or_else(error)?;
            let twice = match key {
                "sysfsdev" => sysfsdev.replace(value).is_some(),
                "id" => id.replace(value).is_some(),
                "events" => {
                    let choices = [
                        ("on", ApEvents::On),
                        ("once", ApEvents::Once),
                        ("off", ApEvents::Off),
                    ];
                    events
                        .replace(choice(value, choices).ok_or_else(error)?)
                        .is_some()
                }
                "backend" => {
                    let choices = [
                        ("auto", ApBackend::Auto),
                        ("group", ApBackend::Group),
                        ("cdev", ApBackend::Cdev),
                    ];
                    backend
                        .replace(choice(value, choices).ok_or_else(error)?)
                        .is_some()
                }
                _ => return Err(error()),
            };
            if twice {
                return Err(error());
            }
        }
        Ok(Self {
            sysfsdev: sysfsdev.ok_or_else(error)?.into(),
            id: id.map_or_else(default_id, str::to_owned),
            events: events.unwrap_or_default(),
            backend: backend.unwrap_or_default(),
        })
    }
}

fn choice<T>(value: &str, choices: impl IntoIterator<Item = (&'static str, T)>) -> Option<T> {
    let mut choices = choices.into_iter();
    choices.find(|(name, _)| *name == value).map(|(_, t)| t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_keys() {
        let option = |text: &str| text.parse::<ApConfig>().map_err(|e| e.to_string());
        let plain = option("sysfsdev=/sys/x").unwrap();
        assert_eq!((plain.id.as_str(), plain.events), ("ap0", ApEvents::On));
        for (text, json) in [
            ("", ""),
            (",id=a", r#","id":"a""#),
            (",events=on", r#","events":true"#),
            (",events=once", r#","events":"once""#),
            (",events=off", r#","events":false"#),
            (",backend=cdev", r#","backend":"cdev""#),
        ] {
            let config = option(&format!("sysfsdev=/sys/x{text}")).unwrap();
            let json = format!(r#"{{"sysfsdev":"/sys/x"{json}}}"#);
            assert_eq!(serde_json::from_str::<ApConfig>(&json).unwrap(), config);
            let written = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<ApConfig>(&written).unwrap(), config);
        }
        for text in [
            "",
            "id=a",
            "sysfsdev",
            "sysfsdev=a,sysfsdev=b",
            "sysfsdev=a,events=on,events=on",
            "path=x",
            "sysfsdev=a,events=1",
            "sysfsdev=a,backend=legacy",
        ] {
            assert!(option(text).is_err(), "{text}");
        }
        for events in ["1", "\"twice\"", "\"on\""] {
            let json = format!(r#"{{"sysfsdev":"x","events":{events}}}"#);
            let error = serde_json::from_str::<ApConfig>(&json)
                .unwrap_err()
                .to_string();
            assert!(error.contains("true, false or \"once\""), "{error}");
        }
    }

    #[test]
    fn what_a_guest_is_told() {
        use NotifyReason::{Attach, CfgChg, Detach, User};
        for reason in [CfgChg, Attach, Detach, User] {
            assert_eq!(ApEvents::On.telling(reason), Telling::AndAgain);
            assert_eq!(ApEvents::Once.telling(reason), Telling::Once);
            let asked_for = match reason {
                User => Telling::Once,
                _ => Telling::Not,
            };
            assert_eq!(ApEvents::Off.telling(reason), asked_for);
        }
    }
}
