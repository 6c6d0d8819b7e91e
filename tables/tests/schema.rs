//! The shape of osquery's tables: what has its name has its columns, in its order and of its types.
#![allow(clippy::unwrap_used, clippy::panic)] // a failing test may end

use std::collections::BTreeSet;

use tables::{Column, ColumnType, Engine};

/// Every table that osquery has on Linux: `name | column:type …`, after the name `events` where a daemon records them, after
/// a type `!` where a condition is needed and `-` where the column is hidden.
const SCHEMA: &str = include_str!("osquery-columns.txt");

fn of_osquery() -> impl Iterator<Item = (&'static str, Vec<(&'static str, &'static str)>)> {
    SCHEMA.lines().map(|line| {
        let (name, columns) = line.split_once(" | ").unwrap();
        let columns = columns.split(' ').map(|column| column.split_once(':').unwrap()).collect();
        (name.split(' ').next().unwrap(), columns)
    })
}

fn type_of(column: &Column) -> &'static str {
    match column.kind {
        ColumnType::Text => "text",
        ColumnType::Integer => "integer",
        ColumnType::BigInt => "bigint",
        ColumnType::UnsignedBigInt => "unsigned_bigint",
        ColumnType::Double => "double",
        ColumnType::DateTime => "datetime",
    }
}

#[test]
fn tables_of_osquery_have_its_columns_and_types() {
    let mut differences = Vec::new();
    for (name, columns) in of_osquery() {
        let Some(table) = Engine::tables().iter().find(|table| table.name == name) else { continue };
        for (column, kind) in columns {
            let wanted = kind.trim_end_matches(['!', '-']);
            match table.columns.iter().find(|own| own.name == column) {
                None => differences.push(format!("{name} has no column {column}")),
                Some(own) if type_of(own) != wanted => {
                    differences.push(format!("{name}.{column} is {} instead of {wanted}", type_of(own)));
                }
                Some(own) if own.is_required != kind.contains('!') && !table.any_required => {
                    differences.push(format!("{name}.{column}: a condition is needed in one of both only"));
                }
                Some(own) if own.is_hidden != kind.contains('-') => {
                    differences.push(format!("{name}.{column} is hidden in one of both only"));
                }
                Some(_) => {}
            }
        }
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

#[test]
fn every_table_of_osquery_on_linux_is_there_or_left_out_with_a_reason() {
    let left_out: BTreeSet<&str> = Engine::left_out().iter().flat_map(|group| group.tables).copied().collect();
    let missing: Vec<&str> = of_osquery()
        .map(|(name, _)| name)
        .filter(|name| !Engine::tables().iter().any(|table| table.name == *name) && !left_out.contains(name))
        .collect();
    assert!(missing.is_empty(), "neither there nor left out: {}", missing.join(", "));
}
