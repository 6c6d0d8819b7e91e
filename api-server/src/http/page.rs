//! Pages of lists: `?page=` from 1, `?page_size=` 25 by default and 100 at most.

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{error::Error, http::query::Query};

/// The furthest row a page may start at: beyond it, Postgres would read and throw away more than the answer is worth.
const MAX_OFFSET: u32 = 1_000_000;

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
        if page.page < 1 || !(1..=100).contains(&page.page_size) {
            return Err(Error::BadRequest("page starts at 1, and page_size lies between 1 and 100.".to_owned()));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_keeps_the_total() {
        let page = Page { page: 2, page_size: 2 }.slice(vec![1, 2, 3]);
        assert_eq!((page.items, page.total, page.page), (vec![3], 3, 2));
    }
}
