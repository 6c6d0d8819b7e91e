//! The SQL engine of the agent, asked whether queries and patterns of foreign files would run.

use std::path::PathBuf;

use catalog::import::Compiler;
use tables::{Engine, Host, Limits, Parameters, Value};

use super::source;

/// Compiles, and reads nothing.
#[derive(Debug)]
pub struct Tables(Engine);

impl Tables {
    /// An engine with every table.
    pub fn open() -> Result<Self, source::Error> {
        let host = Host::image(PathBuf::from("/"));
        Engine::open(host, Limits::default()).map(Self).map_err(|error| source::Error::Engine(error.to_string()))
    }
}

impl Compiler for Tables {
    fn columns(&self, sql: &str) -> Result<Vec<String>, String> {
        let statement = self.0.check(sql).map_err(|error| error.to_string())?;
        match statement.parameters.first() {
            Some(name) => Err(format!("it has the parameter :{name}, for which the source gives no value")),
            None => Ok(statement.columns),
        }
    }

    fn pattern(&self, pattern: &str) -> Result<(), String> {
        let parameters: Parameters = [("pattern".to_owned(), Value::Text(pattern.to_owned()))].into();
        self.0.query("SELECT '' REGEXP :pattern", &parameters).map(drop).map_err(|error| error.to_string())
    }
}
