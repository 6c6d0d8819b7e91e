//! What is wrong with a file of the catalog, and what to write instead.

use std::fmt;

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named to the loader.
    pub file: String,
    /// The field, `checks[3].query`; empty for the whole file.
    pub field: String,
    /// What is wrong.
    pub wrong: String,
    /// What to write instead.
    pub advice: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, field, wrong, advice } = self;
        write!(f, "{file}: ")?;
        if !field.is_empty() {
            write!(f, "{field}: ")?;
        }
        write!(f, "{wrong}")?;
        if !advice.is_empty() {
            write!(f, "; {advice}")?;
        }
        Ok(())
    }
}

/// Everything that is wrong with what was loaded, one line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// Gathers the problems of one file.
pub(crate) struct Report<'a> {
    file: &'a str,
    problems: Vec<Problem>,
}

impl<'a> Report<'a> {
    pub(crate) fn of(file: &'a str) -> Self {
        Self { file, problems: Vec::new() }
    }

    pub(crate) fn add(&mut self, field: impl Into<String>, wrong: impl Into<String>, advice: impl Into<String>) {
        let (field, wrong, advice) = (field.into(), wrong.into(), advice.into());
        self.problems.push(Problem { file: self.file.to_owned(), field, wrong, advice });
    }

    /// Reports a text that has nothing but white space.
    pub(crate) fn require_text(&mut self, field: impl Into<String>, text: &str) {
        if text.trim().is_empty() {
            self.add(field, "is empty", "write a sentence");
        }
    }

    /// Reports a name that is not kebab-case.
    pub(crate) fn require_kebab_case(&mut self, field: impl Into<String>, name: &str) {
        if !is_kebab_case(name) {
            self.add(
                field,
                format!("`{name}` is not kebab-case"),
                format!("write lower-case words joined by single hyphens, such as `{}`", to_kebab_case(name)),
            );
        }
    }

    pub(crate) fn into_result<T>(self, value: T) -> Result<T, Problems> {
        if self.problems.is_empty() { Ok(value) } else { Err(Problems(self.problems)) }
    }
}

fn is_kebab_case(name: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    name.len() <= 100 && name.split('-').all(word)
}

fn to_kebab_case(name: &str) -> String {
    let words: Vec<String> = name
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    if words.is_empty() { "linux-sshd-hardening".to_owned() } else { words.join("-") }
}
