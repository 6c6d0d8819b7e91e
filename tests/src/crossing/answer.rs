//! What an answer shows, and of whom.

use std::collections::BTreeSet;

use super::draw::Drawn;
use super::parties::{MARK, Parties};

/// An answer: its headers and its body as one text.
pub struct Seen {
    pub status: u16,
    pub text: String,
}

/// The digits behind [`MARK`] that name the tenant.
const DIGITS: usize = 3;
const UUID_LENGTH: usize = 36;

/// What an answer has of tenants that its caller does not ask as. What the request itself held may come back.
pub fn foreign(seen: &Seen, drawn: &Drawn, parties: &Parties) -> Vec<String> {
    let mut leaks = BTreeSet::new();
    for tenant in marks(&seen.text) {
        let is_echo = parties.tenants.get(tenant).is_some_and(|party| drawn.holds(&party.mark));
        if !drawn.sees.allows(tenant) && !is_echo {
            leaks.insert(format!("{}, and the mark of tenant {tenant}", seen.status));
        }
    }
    for id in uuids(&seen.text) {
        let Some(tenant) = parties.owner_of(id) else { continue };
        if !drawn.sees.allows(tenant) && !drawn.holds(id) {
            leaks.insert(format!("{}, and {id} of tenant {tenant}", seen.status));
        }
    }
    leaks.into_iter().collect()
}

/// The tenants whose marks a text holds.
pub fn marks(text: &str) -> BTreeSet<usize> {
    let behind = text.match_indices(MARK).filter_map(|(place, _)| text.get(place + MARK.len()..)?.get(..DIGITS));
    behind.filter_map(|digits| digits.parse().ok()).collect()
}

/// What looks like a UUID.
fn uuids(text: &str) -> impl Iterator<Item = &str> {
    let bytes = text.as_bytes();
    let is_one = move |place: &usize| {
        let at = |offset: usize| bytes.get(place + offset).copied().unwrap_or_default();
        [8, 13, 18, 23].into_iter().all(|offset| at(offset) == b'-')
            && (0..8).chain(24..UUID_LENGTH).all(|offset| at(offset).is_ascii_hexdigit())
    };
    (0..bytes.len().saturating_sub(UUID_LENGTH - 1))
        .filter(is_one)
        .filter_map(move |place| text.get(place..place + UUID_LENGTH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_ids_are_found_wherever_they_are() {
        let id = "0190163d-8694-739b-aea5-966c26f8ad91";
        let text =
            format!("{{\"a\":\"é{MARK}007x1\",\"b\":[\"/x/{MARK}012\",\"{MARK}0\"],\"c\":\"x{id}\",\"d\":\"{id}\"}}");
        assert_eq!(marks(&text), BTreeSet::from([7, 12]));
        assert_eq!(uuids(&text).collect::<Vec<_>>(), [id, id]);
        assert_eq!(uuids("0190163d-8694-739b-aea5-966c26f8ad9").count(), 0);
    }
}
