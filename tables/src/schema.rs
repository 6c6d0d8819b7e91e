//! The description of a table, and the macro that a table's file opens with. The macro makes a `Record` with one field a
//! column, so that a misspelt column does not compile, and columns that a file leaves out are NULL.

use crate::reader::Scan;
use crate::value::Row;

/// The type of a column, as osquery names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Text.
    Text,
    /// A number of 32 bits in osquery; 64 bits here.
    Integer,
    /// A number of 64 bits.
    BigInt,
    /// An unsigned number of 64 bits.
    UnsignedBigInt,
    /// A number with a fraction.
    Double,
    /// Seconds since 1970.
    DateTime,
}

impl ColumnType {
    /// The name that SQLite sees; it decides how values compare.
    pub const fn sql(self) -> &'static str {
        match self {
            ColumnType::Text => "TEXT",
            ColumnType::Integer => "INTEGER",
            ColumnType::BigInt => "BIGINT",
            ColumnType::UnsignedBigInt => "UNSIGNED_BIGINT",
            ColumnType::Double => "DOUBLE",
            ColumnType::DateTime => "DATETIME",
        }
    }
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The name, in lower case.
    pub name: &'static str,
    /// The type.
    pub kind: ColumnType,
    /// A condition on it makes the table read less.
    pub is_index: bool,
    /// The table cannot be read without a condition on it.
    pub is_required: bool,
    /// Not part of `SELECT *`.
    pub is_hidden: bool,
}

impl Column {
    pub(crate) const fn new(name: &'static str, kind: ColumnType) -> Self {
        Column { name: without_raw_prefix(name), kind, is_index: false, is_required: false, is_hidden: false }
    }

    pub(crate) const fn index(mut self) -> Self {
        self.is_index = true;
        self
    }

    pub(crate) const fn required(mut self) -> Self {
        self.is_index = true;
        self.is_required = true;
        self
    }

    pub(crate) const fn hidden(mut self) -> Self {
        self.is_hidden = true;
        self
    }
}

/// `type` is a word of Rust and of osquery's schema: `r#type` names the column `type`.
const fn without_raw_prefix(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

/// Rows as a table yields them.
pub(crate) type Rows = Box<dyn Iterator<Item = Row>>;

/// A source of facts.
#[derive(Debug)]
pub struct Table {
    /// The name in SQL.
    pub name: &'static str,
    /// What it holds, in a sentence.
    pub description: &'static str,
    /// Its columns, in the order of `SELECT *`.
    pub columns: &'static [Column],
    /// It shows the running kernel and its processes, and is empty for an image.
    pub is_live_only: bool,
    /// One of the required columns is enough.
    pub any_required: bool,
    /// Its rows are kept for some seconds, because many checks of a run ask for them.
    pub(crate) is_kept: bool,
    pub(crate) rows: fn(&Scan) -> Rows,
}

impl Table {
    pub(crate) const fn new(
        name: &'static str,
        description: &'static str,
        columns: &'static [Column],
        rows: fn(&Scan) -> Rows,
    ) -> Self {
        Table {
            name: without_raw_prefix(name),
            description,
            columns,
            is_live_only: false,
            any_required: false,
            is_kept: false,
            rows,
        }
    }

    pub(crate) const fn live_only(mut self) -> Self {
        self.is_live_only = true;
        self
    }

    pub(crate) const fn any_required(mut self) -> Self {
        self.any_required = true;
        self
    }

    pub(crate) const fn kept(mut self) -> Self {
        self.is_kept = true;
        self
    }

    /// The position of a column.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|candidate| candidate.name.eq_ignore_ascii_case(column))
    }

    /// The columns that need a condition.
    pub fn required(&self) -> impl Iterator<Item = (usize, &'static Column)> {
        self.columns.iter().enumerate().filter(|(_, column)| column.is_required)
    }

    /// What SQLite is told: `CREATE TABLE x(…)`.
    pub(crate) fn declaration(&self) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| {
                let hidden = if column.is_hidden { " HIDDEN" } else { "" };
                format!("\"{}\" {}{hidden}", column.name, column.kind.sql())
            })
            .collect();
        format!("CREATE TABLE x({})", columns.join(", "))
    }
}

/// Declares the table of a file: its description, name, and columns. Needs a function `rows(&Scan) -> Rows` beside it.
macro_rules! table {
    (
        $(#[doc = $description:literal])+
        $table:ident $(: $($flag:ident),+)? {
            $( $column:ident : $kind:ident $([ $($option:ident),+ ])? ),+ $(,)?
        }
    ) => {
        #[doc = concat!("The table `", stringify!($table), "`.")]
        pub static TABLE: $crate::schema::Table = $crate::schema::Table::new(
            stringify!($table),
            concat!($($description),+),
            &[ $( $crate::schema::Column::new(stringify!($column), $crate::schema::ColumnType::$kind) $($(.$option())+)? ),+ ],
            rows,
        ) $($(.$flag())+)?;

        #[derive(Default)]
        struct Record { $( $column: $crate::value::Value, )+ }

        impl From<Record> for $crate::value::Row {
            fn from(record: Record) -> Self {
                $crate::value::Row(vec![ $( record.$column ),+ ])
            }
        }
    };
}
pub(crate) use table;

/// One row: `row! { name: account.name, uid: 0 }`; columns left out are NULL.
macro_rules! row {
    ( $( $column:ident $(: $value:expr)? ),* $(,)? ) => {{
        #[allow(clippy::needless_update)] // a row may name every column
        let record = Record { $( $column: $crate::schema::cell!($column $(, $value)?), )* ..Record::default() };
        $crate::value::Row::from(record)
    }};
}
pub(crate) use row;

macro_rules! cell {
    ($column:ident) => {
        $crate::value::Value::from($column)
    };
    ($column:ident, $value:expr) => {
        $crate::value::Value::from($value)
    };
}
pub(crate) use cell;
