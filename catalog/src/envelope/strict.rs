//! Shapes as the schema has them. What serde derives for a struct takes an array of its fields as well, for a word an object
//! with it as the key, and a UUID or a moment in any spelling; an envelope is held to one.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer as _, MapAccess, Visitor};
use uuid::Uuid;

/// What has to be a JSON object.
pub(crate) struct Object<T>(pub(crate) T);

struct Keys<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Keys<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer).map(Object)
    }
}

pub(crate) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_map(Keys(PhantomData))
}

pub(crate) fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let objects = Vec::<Object<T>>::deserialize(deserializer)?;
    Ok(objects.into_iter().map(|Object(one)| one).collect())
}

/// What may be null and may not be left out.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

struct Word<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Word<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        let word: StrDeserializer<'_, E> = text.into_deserializer();
        T::deserialize(word)
    }
}

/// One of an enumeration's words, as a text.
pub(crate) fn word<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_str(Word(PhantomData))
}

/// Lower case, with hyphens.
pub(crate) fn uuid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    let is_spelt = text.len() == 36 && !text.contains(|letter: char| letter.is_ascii_uppercase());
    let id = Uuid::try_parse(&text).ok().filter(|_| is_spelt);
    id.ok_or_else(|| Error::custom("a UUID is written in lower case, with hyphens"))
}

/// `2026-11-21T12:00:00…`.
pub(crate) fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    let is_spelt = text.len() <= 40 && text.as_bytes().get(10) == Some(&b'T');
    let moment = DateTime::parse_from_rfc3339(&text).ok().filter(|_| is_spelt);
    moment
        .map(|moment| moment.to_utc())
        .ok_or_else(|| Error::custom("a moment is written as RFC 3339 has it, with a T"))
}
