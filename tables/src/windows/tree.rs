//! The registry as one tree: the keys `HKEY_…` at its top, hives below them. Patterns are osquery's: `%` for any letters
//! within one key's name, `%%` at the end for everything below.

use std::rc::Rc;

use crate::paths::matches;
use crate::windows::hive::{MAX_DEPTH, is_same_name};
use crate::windows::machine::{Entry, Machine, SYSTEM_SID, Value, current_control_set};

const MACHINE: &str = "HKEY_LOCAL_MACHINE";
const USERS: &str = "HKEY_USERS";
const CLASSES: &str = "HKEY_CLASSES_ROOT";
/// Where the classes of the machine are.
const MACHINE_CLASSES: &str = "Classes";
const TOP: [&str; 3] = [CLASSES, MACHINE, USERS];
const SYSTEM_HIVES: [&str; 4] = ["SAM", "SECURITY", "SOFTWARE", "SYSTEM"];
const BOOT: &str = "BCD00000000";
const CURRENT: &str = "CurrentControlSet";

/// A place in the tree.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Top,
    Machine,
    Users,
    /// The hive `SYSTEM`, which has one key more while Windows runs.
    System(Entry),
    Key(Entry),
}

/// A place with its path, in the words of the query where it names it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub path: String,
    pub node: Node,
}

impl Node {
    /// When the key was last changed; the keys above the hives are in no file.
    pub fn written(&self) -> Option<i64> {
        match self {
            Node::System(entry) | Node::Key(entry) => Some(entry.written()),
            Node::Top | Node::Machine | Node::Users => None,
        }
    }

    pub fn values(&self) -> Box<dyn Iterator<Item = Value> + '_> {
        match self {
            Node::System(entry) | Node::Key(entry) => Box::new(entry.values()),
            Node::Top | Node::Machine | Node::Users => Box::new(std::iter::empty()),
        }
    }

    pub fn child(&self, machine: &Machine, name: &str) -> Option<Node> {
        match self {
            Node::Top => match TOP.iter().find(|known| is_same_name(known, name)).copied()? {
                CLASSES => machine.software(MACHINE_CLASSES).map(Node::Key),
                MACHINE => Some(Node::Machine),
                _ => Some(Node::Users),
            },
            Node::Machine if is_same_name(name, BOOT) => machine.boot_hive().map(Node::Key),
            Node::Machine => {
                let name = SYSTEM_HIVES.iter().find(|known| is_same_name(known, name))?;
                let root = machine.system_hive(name)?;
                Some(if *name == "SYSTEM" { Node::System(root) } else { Node::Key(root) })
            }
            Node::Users => machine.user_hive(name).map(Node::Key),
            Node::System(entry) if is_same_name(name, CURRENT) => {
                entry.child(&current_control_set(entry)?).map(Node::Key)
            }
            Node::System(entry) | Node::Key(entry) => entry.child(name).map(Node::Key),
        }
    }

    /// The names and nodes below, in the order of the hive.
    pub fn children(&self, machine: &Machine) -> Vec<(String, Node)> {
        let of_names = |names: &mut dyn Iterator<Item = String>| -> Vec<(String, Node)> {
            names.filter_map(|name| self.child(machine, &name).map(|node| (name, node))).collect()
        };
        let of_entry = |entry: &Entry| -> Vec<(String, Node)> {
            entry.children().map(|child| (child.name().to_owned(), Node::Key(child))).collect()
        };
        match self {
            Node::Top => of_names(&mut TOP.iter().map(|name| (*name).to_owned())),
            Node::Machine => of_names(&mut SYSTEM_HIVES.iter().chain([&BOOT]).map(|name| (*name).to_owned())),
            Node::Users => {
                let mut users: Vec<(String, Node)> =
                    machine.user_hives().map(|(sid, root)| (sid, Node::Key(root))).collect();
                if let Some(root) = machine.system_hive("DEFAULT") {
                    users.push((SYSTEM_SID.to_owned(), Node::Key(root)));
                }
                users
            }
            Node::System(entry) => {
                let mut keys = of_entry(entry);
                keys.extend(self.child(machine, CURRENT).map(|node| (CURRENT.to_owned(), node)));
                keys
            }
            Node::Key(entry) => of_entry(entry),
        }
    }
}

/// A part of a pattern between two backslashes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// Letters and `*`, in lower case.
    Wild(String),
    Deep,
}

/// A path of keys with wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
}

impl Pattern {
    /// A path without wildcards.
    pub fn exact(path: &str) -> Self {
        Pattern { parts: parts_of(path).map(|part| Part::Literal(part.to_owned())).collect() }
    }

    /// A path in osquery's LIKE.
    pub fn like(path: &str) -> Self {
        let part = |part: &str| match part {
            "%%" => Part::Deep,
            wild if wild.contains('%') => {
                let escaped = wild.replace('[', "[[]").replace('*', "[*]").replace('?', "[?]");
                Part::Wild(escaped.replace("%%", "%").replace('%', "*").replace('_', "?").to_lowercase())
            }
            literal => Part::Literal(literal.to_owned()),
        };
        Pattern { parts: parts_of(path).map(part).collect() }
    }

    /// The pattern of the keys that hold what this pattern names; none if it names nothing.
    pub fn parents(mut self) -> Option<Self> {
        // What lies anywhere below is held by the key itself and by all keys below.
        if self.parts.last() != Some(&Part::Deep) {
            self.parts.pop()?;
        }
        Some(self)
    }

    /// The places that match. `with_base` adds, to those anywhere below a key, the key itself.
    pub fn expand(self, machine: Rc<Machine>, with_base: bool) -> Expansion {
        let top = Place { path: String::new(), node: Node::Top };
        Expansion { machine, parts: self.parts, with_base, stack: vec![Step { place: top, part: 0, depth: 0 }] }
    }
}

fn parts_of(path: &str) -> impl Iterator<Item = &str> {
    path.split('\\').filter(|part| !part.is_empty())
}

struct Step {
    place: Place,
    /// The part of the pattern that is next.
    part: usize,
    /// How many keys the place lies below the first deep part.
    depth: usize,
}

/// See [`Pattern::expand`].
pub(crate) struct Expansion {
    machine: Rc<Machine>,
    parts: Vec<Part>,
    with_base: bool,
    stack: Vec<Step>,
}

impl Expansion {
    fn push_children(&mut self, place: &Place, is_wanted: impl Fn(&str) -> bool, part: usize, depth: usize) {
        let children = place.node.children(&self.machine);
        for (name, node) in children.into_iter().rev().filter(|(name, _)| is_wanted(name)) {
            let path = join(&place.path, &name);
            self.stack.push(Step { place: Place { path, node }, part, depth });
        }
    }
}

impl Iterator for Expansion {
    type Item = Place;

    fn next(&mut self) -> Option<Place> {
        while let Some(Step { place, part, depth }) = self.stack.pop() {
            if !self.machine.scan().budget().is_open() {
                return None;
            }
            match self.parts.get(part).cloned() {
                None => return Some(place),
                Some(Part::Literal(name)) => {
                    if let Some(node) = place.node.child(&self.machine, &name) {
                        let path = join(&place.path, &name);
                        self.stack.push(Step { place: Place { path, node }, part: part + 1, depth });
                    }
                }
                Some(Part::Wild(pattern)) => {
                    let is_wanted = |name: &str| matches(pattern.as_bytes(), name.to_lowercase().as_bytes());
                    self.push_children(&place, is_wanted, part + 1, depth);
                }
                // osquery knows it at the end only; what follows it is left to SQLite.
                Some(Part::Deep) => {
                    if depth < MAX_DEPTH {
                        self.push_children(&place, |_| true, part, depth + 1);
                    }
                    if depth > 0 || self.with_base {
                        return Some(place);
                    }
                }
            }
        }
        None
    }
}

/// The path of a key or value below a key.
pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!(r"{path}\{name}") }
}
