//! One element of an XML text: enough for descriptions whose elements stand once. No document is built, no entity but the
//! five of XML is known, and nothing is fetched.

/// The text of the first element with a name; none if there is none or it is empty.
pub(super) fn element(xml: &str, name: &str) -> Option<String> {
    let open = format!("<{name}");
    let (_, rest) = xml.match_indices(&open).map(|(at, _)| xml.split_at(at + open.len())).find(|(_, rest)| {
        // Not `<names>`, nor one that is empty.
        rest.starts_with(['>', ' ', '\t', '\n', '\r'])
    })?;
    let (attributes, rest) = rest.split_once('>')?;
    if attributes.ends_with('/') {
        return None;
    }
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let text = text.trim().trim_start_matches("<![CDATA[").trim_end_matches("]]>");
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    let text = entities.iter().fold(text.to_owned(), |text, (entity, letter)| text.replace(entity, letter));
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_element_is_found_by_its_whole_name() {
        let xml = "<a><names/><name lang=\"x\"> B &amp; C </name><empty/><cut>x</a>";
        assert_eq!(element(xml, "name").as_deref(), Some("B & C"));
        assert_eq!((element(xml, "empty"), element(xml, "cut"), element(xml, "other")), (None, None, None));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(<|/|>|name| |\u{e9}){0,20}") {
            element(&text, "name");
        }
    }
}
