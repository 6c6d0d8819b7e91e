//! The registry as one tree: the keys `HKEY_…` at its top, hives below them. Patterns are osquery's: `%` for any letters
//! within one key's name, `%%` at the end for everything below.

use std::rc::Rc;

use crate::paths::matches;
use crate::windows::encoding::is_same_name;
use crate::windows::hive::MAX_DEPTH;
use crate::windows::machine::{Entry, Machine, SYSTEM_SID, Value, current_control_set};

const MACHINE: &str = "HKEY_LOCAL_MACHINE";
const USERS: &str = "HKEY_USERS";
const CLASSES: &str = "HKEY_CLASSES_ROOT";
/// Where the classes of the machine are.
const MACHINE_CLASSES: &str = "Classes";
const TOP: [&str; 3] = [CLASSES, MACHINE, USERS];
const SYSTEM_HIVES: [&str; 4] = ["SAM", "SECURITY", "SOFTWARE", "SYSTEM"];
const MACHINE_HIVES: [&str; 5] = ["SAM", "SECURITY", "SOFTWARE", "SYSTEM", BOOT];
/// The longest path that Windows opens.
const MAX_PATH_BYTES: usize = 64 << 10;
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

    pub fn values(&self) -> Box<dyn Iterator<Item = Value>> {
        match self {
            Node::System(entry) | Node::Key(entry) => Box::new(entry.every_value()),
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

    /// The names and nodes below, in the order of the hive, read one at a time.
    pub fn children(&self, machine: &Machine) -> Children {
        let of_names = |names: &[&str]| -> Children {
            let nodes: Vec<(String, Node)> = names
                .iter()
                .filter_map(|name| self.child(machine, name).map(|node| ((*name).to_owned(), node)))
                .collect();
            Box::new(nodes.into_iter())
        };
        let of_entry = |entry: &Entry| entry.every_child().map(|child| (child.name().to_owned(), Node::Key(child)));
        match self {
            Node::Top => of_names(&TOP),
            Node::Machine => of_names(&MACHINE_HIVES),
            Node::Users => {
                let system = machine.system_hive("DEFAULT").map(|root| (SYSTEM_SID.to_owned(), root));
                let users: Vec<(String, Entry)> = machine.user_hives().chain(system).collect();
                Box::new(users.into_iter().map(|(sid, root)| (sid, Node::Key(root))))
            }
            Node::System(entry) => {
                let current = self.child(machine, CURRENT).map(|node| (CURRENT.to_owned(), node));
                Box::new(of_entry(entry).chain(current))
            }
            Node::Key(entry) => Box::new(of_entry(entry)),
        }
    }
}

/// The nodes below one, with their names.
pub(crate) type Children = Box<dyn Iterator<Item = (String, Node)>>;

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
        Expansion { machine, parts: self.parts, with_base, stack: vec![Step::Visit { place: top, part: 0, depth: 0 }] }
    }
}

fn parts_of(path: &str) -> impl Iterator<Item = &str> {
    path.split('\\').filter(|part| !part.is_empty())
}

enum Step {
    /// A place whose next part of the pattern is `part`; it lies so many keys below the first deep part.
    Visit { place: Place, part: usize, depth: usize },
    /// The places below a path that are still to visit, those whose name matches.
    Below { path: String, children: Children, pattern: Option<String>, part: usize, depth: usize },
}

/// See [`Pattern::expand`]. It keeps one list of keys a level, whatever the size of the tree.
pub(crate) struct Expansion {
    machine: Rc<Machine>,
    parts: Vec<Part>,
    with_base: bool,
    stack: Vec<Step>,
}

impl Expansion {
    /// Goes on below a place; true if the place itself is asked for.
    fn visit(&mut self, place: &Place, part: usize, depth: usize) -> bool {
        if place.path.len() > MAX_PATH_BYTES {
            return false;
        }
        let path = place.path.clone();
        match self.parts.get(part).cloned() {
            None => return true,
            Some(Part::Literal(name)) => {
                if let Some(node) = place.node.child(&self.machine, &name) {
                    let place = Place { path: join(&path, &name), node };
                    self.stack.push(Step::Visit { place, part: part + 1, depth });
                }
            }
            Some(Part::Wild(pattern)) => {
                let children = place.node.children(&self.machine);
                self.stack.push(Step::Below { path, children, pattern: Some(pattern), part: part + 1, depth });
            }
            // osquery knows it at the end only; what follows it is left to SQLite.
            Some(Part::Deep) => {
                if depth < MAX_DEPTH {
                    let children = place.node.children(&self.machine);
                    self.stack.push(Step::Below { path, children, pattern: None, part, depth: depth + 1 });
                }
                return depth > 0 || self.with_base;
            }
        }
        false
    }
}

impl Iterator for Expansion {
    type Item = Place;

    fn next(&mut self) -> Option<Place> {
        while let Some(step) = self.stack.pop() {
            if !self.machine.scan().budget().is_open() {
                return None;
            }
            match step {
                Step::Visit { place, part, depth } => {
                    if self.visit(&place, part, depth) {
                        return Some(place);
                    }
                }
                Step::Below { path, mut children, pattern, part, depth } => {
                    let is_wanted = |name: &str| {
                        let matches = |pattern: &String| matches(pattern.as_bytes(), name.to_lowercase().as_bytes());
                        pattern.as_ref().is_none_or(matches)
                    };
                    let Some((name, node)) = children.find(|(name, _)| is_wanted(name)) else { continue };
                    let place = Place { path: join(&path, &name), node };
                    self.stack.push(Step::Below { path, children, pattern, part, depth });
                    self.stack.push(Step::Visit { place, part, depth });
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
