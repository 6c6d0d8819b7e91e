//! What a scanner found, from its OVAL results: the tests that made a definition fail, and a few of the items that each
//! looked at. In short, because a report holds every line of every file that a pattern met.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::one_line;
use super::xml::{Element, Error};

/// Definitions, tests and items that are remembered, each.
const MAX_KEPT: usize = 100_000;
/// Definitions in each other.
const MAX_DEPTH: usize = 6;
/// Tests that are told of one rule, and items of one test.
const MAX_TOLD: usize = 5;
const MAX_COMMENT_CHARS: usize = 200;
const MAX_ITEM_CHARS: usize = 300;

/// A test that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// What was asked, in the content's words.
    pub test: String,
    /// What was there; empty where nothing was.
    pub found: Vec<String>,
}

/// What made a definition fail.
#[derive(Default)]
struct Reasons {
    tests: Vec<String>,
    definitions: Vec<String>,
}

/// Gathers while a report is read.
#[derive(Default)]
pub(super) struct Evidence {
    /// Names of the open elements, as far as they matter.
    frames: Vec<Frame>,
    comments: BTreeMap<String, String>,
    definitions: BTreeMap<String, Reasons>,
    definition: String,
    /// Test to its items, those that were not as they should be first.
    tests: BTreeMap<String, Vec<(bool, String)>>,
    test: String,
    /// Items of the open report that a test names; their numbers are its own.
    wanted: BTreeMap<String, String>,
    item: String,
    field: String,
    text: String,
    found: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Frame {
    Definition,
    Tests,
    Test,
    SystemData,
    Item,
    Field,
    Other,
}

impl Evidence {
    /// An element opens.
    pub fn open(&mut self, tag: &Element<'_>) -> Result<(), Error> {
        let around = self.frames.last().copied();
        let frame = match (around, tag.name()) {
            (Some(Frame::SystemData), _) => match tag.attribute("id")? {
                Some(id) if self.wanted.contains_key(&id) => {
                    self.item = id;
                    Frame::Item
                }
                _ => Frame::Other,
            },
            (Some(Frame::Item), name) => {
                self.field = String::from_utf8_lossy(&name[..name.len().min(60)]).into_owned();
                self.text.clear();
                Frame::Field
            }
            (Some(Frame::Tests), b"test") => {
                self.test = tag.attribute("test_id")?.unwrap_or_default();
                Frame::Test
            }
            (Some(Frame::Tests), _) => {
                if let (Some(id), Some(comment)) = (tag.attribute("id")?, tag.attribute("comment")?)
                    && self.comments.len() < MAX_KEPT
                {
                    self.comments.insert(id, one_line(&comment, MAX_COMMENT_CHARS));
                }
                Frame::Other
            }
            (Some(Frame::Test), b"tested_item") => {
                if let Some(id) = tag.attribute("item_id")? {
                    let is_right = tag.attribute("result")?.as_deref() == Some("true");
                    self.tested(id, is_right);
                }
                Frame::Other
            }
            (_, b"definition") => match (tag.attribute("definition_id")?, tag.attribute("result")?.as_deref()) {
                (Some(id), Some("false")) if self.definitions.len() < MAX_KEPT => {
                    self.definition = id;
                    self.definitions.entry(self.definition.clone()).or_default();
                    Frame::Definition
                }
                _ => Frame::Other,
            },
            // Criteria stand in each other.
            (Some(Frame::Definition), name @ (b"criteria" | b"criterion" | b"extend_definition")) => {
                let is_reason = tag.attribute("result")?.as_deref() == Some("false");
                let (test, definition) = (tag.attribute("test_ref")?, tag.attribute("definition_ref")?);
                if let Some(reasons) = self.definitions.get_mut(&self.definition).filter(|_| is_reason) {
                    let room = |list: &Vec<String>| list.len() < 4 * MAX_TOLD;
                    match name {
                        b"criterion" if room(&reasons.tests) => reasons.tests.extend(test),
                        b"extend_definition" if room(&reasons.definitions) => reasons.definitions.extend(definition),
                        _ => {}
                    }
                }
                Frame::Definition
            }
            (_, b"tests") => Frame::Tests,
            (_, b"system_data") => Frame::SystemData,
            _ => Frame::Other,
        };
        self.frames.push(frame);
        Ok(())
    }

    fn tested(&mut self, id: String, is_right: bool) {
        if self.tests.len() >= MAX_KEPT || self.wanted.len() >= MAX_KEPT {
            return;
        }
        let items = self.tests.entry(self.test.clone()).or_default();
        if items.len() < MAX_TOLD {
            items.push((is_right, id.clone()));
        } else if let Some(place) = items.iter().position(|(other, _)| *other).filter(|_| !is_right) {
            items[place] = (is_right, id.clone());
        } else {
            return;
        }
        self.wanted.entry(id).or_default();
    }

    /// An element closes; the last one is the report's own.
    pub fn close(&mut self) {
        match self.frames.pop() {
            Some(Frame::Field) => self.keep_field(),
            None => self.end_of_report(),
            Some(_) => {}
        }
    }

    fn keep_field(&mut self) {
        let value = one_line(&self.text, MAX_ITEM_CHARS);
        // What a person has to see of a password is never the password.
        if value.is_empty() || self.field.contains("passw") {
            return;
        }
        if let Some(item) = self.wanted.get_mut(&self.item).filter(|item| item.len() < MAX_ITEM_CHARS) {
            let comma = if item.is_empty() { "" } else { ", " };
            *item = one_line(&format!("{item}{comma}{}={value}", self.field), MAX_ITEM_CHARS);
        }
    }

    fn end_of_report(&mut self) {
        let wanted = std::mem::take(&mut self.wanted);
        for (test, mut items) in std::mem::take(&mut self.tests) {
            items.sort_by_key(|(is_right, _)| *is_right);
            let told = items.iter().filter_map(|(_, id)| wanted.get(id)).filter(|item| !item.is_empty());
            let told: Vec<String> = told.cloned().collect();
            if self.found.len() < MAX_KEPT {
                self.found.insert(test, told);
            }
        }
    }

    /// Text within the open element.
    pub fn gather(&mut self, text: &str) {
        if self.frames.last() == Some(&Frame::Field) && self.text.len() < 4 * MAX_ITEM_CHARS {
            self.text.push_str(text);
        }
    }

    /// The tests that made these definitions fail.
    pub fn of(&self, definitions: &BTreeSet<String>) -> Vec<Proof> {
        let mut tests: Vec<&str> = Vec::new();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut level: Vec<&str> = definitions.iter().map(String::as_str).collect();
        for _ in 0..MAX_DEPTH {
            let mut below = Vec::new();
            for id in level {
                let Some(reasons) = self.definitions.get(id).filter(|_| seen.insert(id)) else { continue };
                for test in reasons.tests.iter().map(String::as_str) {
                    if tests.len() < MAX_TOLD && !tests.contains(&test) {
                        tests.push(test);
                    }
                }
                below.extend(reasons.definitions.iter().map(String::as_str));
            }
            level = below;
        }
        let comment = |id: &str| self.comments.get(id).cloned().unwrap_or_else(|| one_line(id, MAX_COMMENT_CHARS));
        tests
            .into_iter()
            .map(|id| Proof { test: comment(id), found: self.found.get(id).cloned().unwrap_or_default() })
            .collect()
    }
}
