//! One page of a list, read object by object: never more than one of them lies in memory beside its row. What the API server
//! sends is as much a stranger's as any other input, since any of its users writes objects.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

use crate::value::Row;

/// An API server sends what was asked for, or fewer; what sends more is none.
const MAX_OBJECTS: usize = 5_000;

/// A page.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub rows: Vec<Row>,
    /// Where the list goes on.
    pub next: Option<String>,
    is_list: bool,
}

#[derive(Debug, Default, Deserialize)]
struct ListMeta {
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

/// Makes a row of each object of a page.
pub(super) fn read(bytes: &[u8], make: &mut dyn FnMut(&Json) -> Row) -> Result<Page, serde_json::Error> {
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let page = List { make }.deserialize(&mut parser)?;
    parser.end()?;
    if !page.is_list {
        return Err(serde::de::Error::custom("it is no list of objects"));
    }
    Ok(page)
}

struct List<'a> {
    make: &'a mut dyn FnMut(&Json) -> Row,
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = Page;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Page, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = Page;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Page, A::Error> {
        let mut page = Page::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "items" if page.is_list => return Err(serde::de::Error::duplicate_field("items")),
                "items" => {
                    page.rows = map.next_value_seed(Items { make: &mut *self.make })?;
                    page.is_list = true;
                }
                "metadata" => page.next = map.next_value::<ListMeta>()?.next.filter(|next| !next.is_empty()),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(page)
    }
}

struct Items<'a> {
    make: &'a mut dyn FnMut(&Json) -> Row,
}

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = Vec<Row>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Row>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = Vec<Row>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("objects")
    }

    /// An empty list may be written as null.
    fn visit_unit<E>(self) -> Result<Vec<Row>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<Row>, A::Error> {
        let mut rows = Vec::new();
        while let Some(object) = items.next_element::<Json>()? {
            if rows.len() == MAX_OBJECTS {
                return Err(serde::de::Error::custom("it has more objects than were asked for"));
            }
            rows.push((self.make)(&object));
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(text: &str) -> Result<(Vec<String>, Option<String>), String> {
        let mut make = |object: &Json| Row(vec![object["metadata"]["name"].as_str().into()]);
        let page = read(text.as_bytes(), &mut make).map_err(|error| error.to_string())?;
        Ok((page.rows.iter().map(|row| row.0[0].to_string()).collect(), page.next))
    }

    #[test]
    fn a_page_has_objects_and_may_go_on() {
        let text = r#"{"kind":"PodList","metadata":{"continue":"abc","x":[1]},"items":[{"metadata":{"name":"a"}},{}]}"#;
        assert_eq!(names(text), Ok((vec!["a".to_owned(), String::new()], Some("abc".to_owned()))));
        assert_eq!(names(r#"{"items":null,"metadata":{"continue":""}}"#), Ok((vec![], None)));
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        let deep = format!("{{\"items\":[{}{}]}}", "[".repeat(100_000), "]".repeat(100_000));
        let many = format!("{{\"items\":[{}{{}}]}}", "{},".repeat(MAX_OBJECTS));
        for text in [
            "",
            "[]",
            "{}",
            "<html>",
            r#"{"items":{}}"#,
            r#"{"items":[{"#,
            r#"{"items":[]} x"#,
            r#"{"items":[],"items":[]}"#,
            &deep,
            &many,
        ] {
            assert!(names(text).is_err(), "{}", &text[..text.len().min(40)]);
        }
    }

    proptest! {
        #[test]
        fn any_page_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            super::super::fuzz_page(&bytes);
            super::super::fuzz_page(&[&b"{\"items\":[{\"metadata\":"[..], &bytes].concat());
        }
    }
}
