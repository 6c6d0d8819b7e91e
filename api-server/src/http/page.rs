//! Parts of lists: `?page=` from 1, `?page_size=` 25 by default and 100 at most. Long lists also take `?cursor=`, the
//! `next_cursor` of the answer before.
//!
//! A cursor holds the sort keys of the last row and a digest over them, the tenant, the list, its sort and its filters. It is
//! no secret and opens nothing: whoever makes one up only begins their own list elsewhere. The digest is there so that a
//! cursor that was cut off, or belongs to another list, is refused instead of answered with rows that look right.

use std::fmt::Debug;

use axum::extract::FromRequestParts;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::request::Parts;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use store::TenantRef;
use utoipa::{IntoParams, ToSchema};

use crate::{
    error::{Error, Result},
    http::query::Query,
};

/// The furthest row a page may start at: beyond it, Postgres would read and throw away more than the answer is worth.
const MAX_OFFSET: u32 = 1_000_000;
/// The same for a list that takes cursors.
const MAX_OFFSET_OF_LONG: u32 = 10_000;
/// Bytes of a cursor's digest.
const DIGEST: usize = 12;
/// The longest cursor that is looked at; the longest that is made holds a path of 4 KiB.
const MAX_CURSOR: usize = 16 * 1024;

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// From 1.
    #[serde(default = "first")]
    #[param(minimum = 1, default = 1)]
    pub page: u32,
    /// Rows in a page, at most 100.
    #[serde(default = "usual")]
    #[param(minimum = 1, maximum = 100, default = 25)]
    pub page_size: u32,
}

const fn first() -> u32 {
    1
}

const fn usual() -> u32 {
    25
}

impl Page {
    /// The page's part of a list that is in memory already.
    pub fn slice<T>(self, items: Vec<T>) -> Paged<T> {
        let total = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let size = usize::try_from(self.page_size).unwrap_or(usize::MAX);
        let offset = usize::try_from(self.page - 1).unwrap_or(usize::MAX).saturating_mul(size);
        Paged {
            items: items.into_iter().skip(offset).take(size).collect(),
            total,
            page: self.page,
            page_size: self.page_size,
        }
    }

    /// The same page, as the store counts.
    pub fn of_store(self) -> store::Page {
        store::Page::new(self.page, self.page_size)
    }

    /// The answer of a list that the store has paged, each row as the API shows it.
    pub fn of<T, V>(self, rows: store::Paged<T>, view: impl FnMut(T) -> V) -> Paged<V> {
        let items = rows.items.into_iter().map(view).collect();
        Paged { items, total: rows.total, page: self.page, page_size: self.page_size }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Query(page) = Query::<Self>::from_request_parts(parts, state).await?;
        check(page.page, page.page_size)?;
        if page.page > MAX_OFFSET / page.page_size {
            return Err(Error::BadRequest("There is no page that far. Narrow the list with a filter.".to_owned()));
        }
        Ok(page)
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Paged<T> {
    /// The rows of this page.
    pub items: Vec<T>,
    /// Rows in the whole list.
    pub total: i64,
    /// The page, from 1.
    pub page: u32,
    /// Rows in a page.
    pub page_size: u32,
}

fn check(page: u32, page_size: u32) -> Result<()> {
    if page < 1 || !(1..=100).contains(&page_size) {
        return Err(Error::BadRequest("page starts at 1, and page_size lies between 1 and 100.".to_owned()));
    }
    Ok(())
}

/// Which part of a long list is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Part {
    /// From 1, up to the row 10,000; a cursor goes further.
    #[param(minimum = 1, default = 1)]
    pub page: Option<u32>,
    /// Rows in a page, at most 100.
    #[serde(default = "usual")]
    #[param(minimum = 1, maximum = 100, default = 25)]
    pub page_size: u32,
    /// `next_cursor` of an earlier answer of this list with the same sort and filters, instead of `page`.
    pub cursor: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Part {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Query(part) = Query::<Self>::from_request_parts(parts, state).await?;
        check(part.page.unwrap_or(1), part.page_size)?;
        if part.page.is_some() && part.cursor.is_some() {
            return Err(Error::BadRequest("Send page or cursor, not both.".to_owned()));
        }
        if part.page.is_some_and(|page| page > MAX_OFFSET_OF_LONG / part.page_size) {
            let message = "There is no page that far. Go on with the next_cursor of an earlier page, or narrow the list \
                           with a filter.";
            return Err(Error::BadRequest(message.to_owned()));
        }
        Ok(part)
    }
}

impl Part {
    /// Where the store begins to read the list.
    ///
    /// # Errors
    /// 400 for a cursor that is not one of this list.
    pub fn start<P: DeserializeOwned>(&self, list: &List) -> Result<store::Start<P>> {
        match &self.cursor {
            Some(cursor) => Ok(store::Start::after(Some(list.place(cursor)?), self.page_size)),
            None => Ok(store::Start::Page(store::Page::new(self.page.unwrap_or(1), self.page_size))),
        }
    }

    /// The answer, each row as the API shows it.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn of<T, P: Serialize, V>(
        &self,
        list: &List,
        rows: store::Listed<T, P>,
        view: impl FnMut(T) -> V,
    ) -> Result<Listing<V>> {
        Ok(Listing {
            items: rows.items.into_iter().map(view).collect(),
            total: rows.total.count,
            total_is_exact: rows.total.is_exact,
            page: self.cursor.is_none().then(|| self.page.unwrap_or(1)),
            page_size: self.page_size,
            next_cursor: rows.next.map(|place| list.cursor(&place)).transpose()?,
        })
    }
}

/// One part of a long list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Listing<T> {
    /// The rows of this part. Fewer than `page_size`, even none, do not mean the end: a search looks at a number of rows at
    /// a time.
    pub items: Vec<T>,
    /// Rows in the whole list; where `total_is_exact` is false, at least so many.
    pub total: i64,
    /// Whether all rows were counted. Counting stops at 10,000 rows (100,000 assets), or where a search stops looking.
    pub total_is_exact: bool,
    /// The page, from 1; none behind a cursor.
    pub page: Option<u32>,
    /// Rows in a page.
    pub page_size: u32,
    /// Where the list goes on, for `cursor`; none at its end.
    pub next_cursor: Option<String>,
}

/// What a cursor is bound to: one list of one tenant, with its sort and filters.
#[derive(Debug)]
pub struct List(Sha256);

impl List {
    /// `question` is everything that decides which rows the list has and in which order.
    pub fn new(tenant: &TenantRef, name: &str, question: &impl Debug) -> Self {
        // Debug of the filters' types is one text for one question: names, and texts in quotes.
        Self(Sha256::new_with_prefix(format!("{} {name} {question:?} ", tenant.id)))
    }

    fn digest(&self, keys: &[u8]) -> [u8; 32] {
        self.0.clone().chain_update(keys).finalize().into()
    }

    fn cursor(&self, place: &impl Serialize) -> Result<String> {
        let keys = serde_json::to_vec(place).map_err(Error::internal)?;
        let digest = self.digest(&keys);
        Ok(BASE64_URL_SAFE_NO_PAD.encode([&digest[..DIGEST], &keys].concat()))
    }

    fn place<P: DeserializeOwned>(&self, cursor: &str) -> Result<P> {
        let place = || {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
            let (digest, keys) = bytes.split_at_checked(DIGEST)?;
            let is_ours = self.digest(keys).starts_with(digest);
            is_ours.then(|| serde_json::from_slice(keys).ok()).flatten()
        };
        let is_short = cursor.len() <= MAX_CURSOR;
        is_short.then(place).flatten().ok_or_else(|| {
            let message = "The cursor is not one of this list with this sort and these filters. Ask for the list without \
                           it, and go on with the next_cursor of that answer.";
            Error::BadRequest(message.to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_keeps_the_total() {
        let page = Page { page: 2, page_size: 2 }.slice(vec![1, 2, 3]);
        assert_eq!((page.items, page.total, page.page), (vec![3], 3, 2));
    }

    #[test]
    fn a_cursor_holds_for_one_tenant_list_sort_and_filter() {
        let tenant = |id| TenantRef { slug: store::Slug::parse("acme").unwrap(), id: uuid::Uuid::from_u128(id) };
        let list = |id, name, question: &str| List::new(&tenant(id), name, &question);
        let place = ("web-1".to_owned(), 7);
        let cursor = list(1, "assets", "name").cursor(&place).unwrap();
        assert_eq!(list(1, "assets", "name").place::<(String, i32)>(&cursor).unwrap(), place);
        for other in [list(2, "assets", "name"), list(1, "runs", "name"), list(1, "assets", "score")] {
            assert!(matches!(other.place::<(String, i32)>(&cursor).unwrap_err(), Error::BadRequest(_)));
        }
        let ours = list(1, "assets", "name");
        let cut = &cursor[..cursor.len() - 1];
        for garbage in ["", "x", "%", "AAAA", cut, &format!("{cursor}A"), &"A".repeat(MAX_CURSOR + 1)] {
            assert!(matches!(ours.place::<(String, i32)>(garbage).unwrap_err(), Error::BadRequest(_)), "{garbage}");
        }
    }
}
