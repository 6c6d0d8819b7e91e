//! `default_environment`: the variables that every program of a Windows image starts with.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;
use crate::windows::data::kind;
use crate::windows::machine::{Entry, Machine};

table! {
    /// Environment variables of a Windows image's system.
    default_environment {
        variable: Text,
        value: Text,
        expand: Integer,
    }
}

const ENVIRONMENT: &str = r"Control\Session Manager\Environment";

fn rows(scan: &Scan) -> Rows {
    let Some(machine) = Machine::of(scan) else { return Box::new(std::iter::empty()) };
    let list = machine.control_set(ENVIRONMENT);
    let variables: Vec<Row> = list
        .iter()
        .flat_map(Entry::values)
        .map(|value| row! { value: value.shown(), expand: value.kind == kind::EXPAND_SZ, variable: value.name })
        .collect();
    Box::new(variables.into_iter())
}
