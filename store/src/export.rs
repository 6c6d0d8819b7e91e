//! Lists as a whole, row by row, for files. One statement reads them, so all rows are of one moment, and Postgres sends no
//! faster than they are taken: neither side holds more than a few of them.

use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::error::Result;
use crate::tx::{Mode, TenantTx};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anybody's text.
    Text,
    /// An identifier.
    Id,
    /// A moment.
    Time,
    /// A whole number of 16 or 32 bits.
    Number,
}

/// A column of an export.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name in the file.
    pub name: &'static str,
    kind: Kind,
}

impl Column {
    pub(crate) const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind }
    }
}

/// A value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'row> {
    /// Nothing.
    Empty,
    /// Anybody's text.
    Text(&'row str),
    /// An identifier.
    Id(Uuid),
    /// A moment.
    Time(DateTime<Utc>),
    /// A number.
    Number(i32),
}

/// The rows of an export.
pub struct Export<'tx> {
    columns: &'static [Column],
    rows: BoxStream<'tx, sqlx::Result<PgRow>>,
}

impl std::fmt::Debug for Export<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Export").field("columns", &self.columns).finish_non_exhaustive()
    }
}

/// A row of an export.
#[derive(Debug)]
pub struct Record {
    columns: &'static [Column],
    row: PgRow,
}

impl<'tx> Export<'tx> {
    pub(crate) fn new(columns: &'static [Column], rows: BoxStream<'tx, sqlx::Result<PgRow>>) -> Self {
        Self { columns, rows }
    }

    /// The next row; none after the last.
    pub async fn next(&mut self) -> Result<Option<Record>> {
        let row = self.rows.next().await.transpose()?;
        Ok(row.map(|row| Record { columns: self.columns, row }))
    }
}

impl Record {
    /// The values, in the order of the columns.
    pub fn cells(&self) -> impl Iterator<Item = Result<Cell<'_>>> {
        self.columns.iter().enumerate().map(|(index, column)| self.cell(index, column.kind))
    }

    // The statement and its columns stand next to each other; what Postgres sends is of the type they say.
    fn cell(&self, index: usize, kind: Kind) -> Result<Cell<'_>> {
        Ok(match kind {
            Kind::Text => self.row.try_get_unchecked::<Option<&str>, _>(index)?.map(Cell::Text),
            Kind::Id => self.row.try_get_unchecked::<Option<Uuid>, _>(index)?.map(Cell::Id),
            Kind::Time => self.row.try_get_unchecked::<Option<DateTime<Utc>>, _>(index)?.map(Cell::Time),
            Kind::Number => self.row.try_get_unchecked::<Option<i32>, _>(index)?.map(Cell::Number),
        }
        .unwrap_or(Cell::Empty))
    }
}

/// Lets the statements of this transaction run for so long; a reader on a slow line takes an export's rows slowly.
pub async fn allow<M: Mode>(tx: &mut TenantTx<M>, limit: std::time::Duration) -> Result<()> {
    let milliseconds = limit.as_millis();
    let statement = format!("SET LOCAL statement_timeout = {milliseconds}");
    sqlx::query(sqlx::AssertSqlSafe(statement)).persistent(false).execute(tx.connection()?).await?;
    Ok(())
}
