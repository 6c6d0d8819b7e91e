//! The rows of a table of objects: its list, page by page. A condition on namespace or name asks for that part only, unless
//! the whole list is there already. What the account may not list, or what breaks off, leaves everything undecided that was to
//! be concluded from the table.

use std::collections::HashSet;
use std::sync::Arc;

use super::cluster::{Cluster, Kept, KeptRows, MAX_KEPT_BYTES};
use super::packed::Packer;
use super::resource::{Resource, row_of, size_of};
use super::{NO_CLUSTER, page};
use crate::constraints::{Constraint, Constraints, Operator};
use crate::http;
use crate::kept;
use crate::reader::{Scan, Warning, is_crowded_json};
use crate::schema::Rows;
use crate::value::Row;

/// Objects of one page.
const PAGE_OBJECTS: usize = 500;
/// Of an answer that is too long, this part is asked for next time.
const SMALLER: usize = 8;
/// Pages of one list: a million objects, or a server that makes them up.
const MAX_PAGES: usize = 2_000;
/// Bytes of one list.
const MAX_BYTES: usize = 512 << 20;
/// A list that is longer is packed.
const MAX_PLAIN_BYTES: usize = 1 << 20;

/// The rows that a query asks for.
pub(crate) fn rows(scan: &Scan, resource: &'static Resource) -> Rows {
    let Some(cluster) = scan.host().cluster.clone() else {
        scan.warn_of_no_subject(NO_CLUSTER);
        return Box::new(std::iter::empty());
    };
    let Some(part) = Part::of(scan, resource) else { return Box::new(std::iter::empty()) };
    let table = resource.table.name;
    let whole = cluster.kept(table);
    let is_enough = |kept: &Kept| part.is_all() || kept.is_whole && matches!(kept.rows, KeptRows::Plain(_));
    if let Some(kept) = whole.clone().filter(is_enough) {
        return matching(scan, kept);
    }
    if part.is_all() {
        return read(scan, resource, &cluster, part);
    }
    if let Some(kept) = cluster.kept(&part.key(table)) {
        return matching(scan, kept);
    }
    if cluster.may_ask_for_a_part(table) {
        return read(scan, resource, &cluster, part);
    }
    if let Some(kept) = whole.filter(|kept| kept.is_whole) {
        return matching(scan, kept);
    }
    // So many parts are asked for that the whole costs less; if it is not to be had, the part may be.
    let mut pages = Pages::new(scan, resource, Arc::clone(&cluster), Part::default());
    pages.is_quiet = true;
    match gather(&mut pages) {
        Ok(gathered) if !pages.is_broken && !scan.budget().has_failed() => {
            let kept = gathered.kept(Vec::new(), true);
            cluster.keep(table.to_owned(), Some(kept.clone()));
            matching(scan, kept)
        }
        _ => {
            cluster.keep(table.to_owned(), None);
            read(scan, resource, &cluster, part)
        }
    }
}

/// Reads a list or a part of it, and keeps it.
fn read(scan: &Scan, resource: &'static Resource, cluster: &Arc<Cluster>, part: Part) -> Rows {
    let key = part.key(resource.table.name);
    let mut pages = Pages::new(scan, resource, Arc::clone(cluster), part);
    match gather(&mut pages) {
        Err(too_long) => {
            cluster.keep(key, None);
            Box::new(all_of(too_long.finish()).chain(pages))
        }
        Ok(_) if scan.budget().has_failed() => Box::new(std::iter::empty()),
        Ok(gathered) => {
            let kept = gathered.kept(scan.query.warnings_of(resource.table.name), !pages.is_broken);
            cluster.keep(key, Some(kept.clone()));
            matching(scan, kept)
        }
    }
}

/// All rows of a list; an error holds the first of them, if they are too many to be kept.
fn gather(pages: &mut Pages) -> Result<Gathered, Gathered> {
    let mut gathered = Gathered::default();
    for row in pages {
        gathered.push(row);
        if gathered.bytes() > MAX_KEPT_BYTES {
            return Err(gathered);
        }
    }
    Ok(gathered)
}

fn matching(scan: &Scan, kept: Kept) -> Rows {
    kept.warnings.into_iter().for_each(|warning| scan.query.warn(warning));
    let KeptRows::Plain(rows) = kept.rows else { return all_of(kept.rows) };
    let equal: Vec<Constraint> =
        scan.constraints.list.iter().filter(|one| one.operator == Operator::Equals).cloned().collect();
    kept::matching(rows, Arc::new(Constraints { list: equal, used_columns: scan.constraints.used_columns }))
}

fn all_of(rows: KeptRows) -> Rows {
    match rows {
        KeptRows::Plain(rows) => Box::new((0..rows.len()).map_while(move |index| rows.get(index).cloned())),
        KeptRows::Packed(packed) => Box::new(packed.rows()),
    }
}

/// Rows of a list as they come: plain at first, packed once they are many.
#[derive(Default)]
struct Gathered {
    plain: Vec<Row>,
    plain_bytes: usize,
    packer: Option<Packer>,
}

impl Gathered {
    fn push(&mut self, row: Row) {
        if let Some(packer) = &mut self.packer {
            return packer.push(&row);
        }
        self.plain_bytes += size_of(&row);
        self.plain.push(row);
        if self.plain_bytes > MAX_PLAIN_BYTES {
            let mut packer = Packer::default();
            for row in &std::mem::take(&mut self.plain) {
                packer.push(row);
            }
            self.packer = Some(packer);
        }
    }

    fn bytes(&self) -> usize {
        self.packer.as_ref().map_or(self.plain_bytes, Packer::bytes)
    }

    fn kept(self, warnings: Vec<Warning>, is_whole: bool) -> Kept {
        let bytes = self.bytes();
        Kept { rows: self.finish(), warnings, bytes, is_whole }
    }

    fn finish(self) -> KeptRows {
        match self.packer {
            Some(packer) => KeptRows::Packed(packer.finish()),
            None => KeptRows::Plain(Arc::new(self.plain)),
        }
    }
}

/// The part of a list that conditions ask for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Part {
    namespace: Option<String>,
    name: Option<String>,
}

impl Part {
    /// None if nothing can have such a name.
    fn of(scan: &Scan, resource: &Resource) -> Option<Self> {
        let name = scan.texts("name", Operator::Equals).into_iter().next();
        let namespace = if resource.is_namespaced { scan.texts("namespace", Operator::Equals) } else { Vec::new() };
        let part = Part { namespace: namespace.into_iter().next(), name };
        part.is_possible().then_some(part)
    }

    /// A namespace goes into the path: only what can be one may.
    fn is_possible(&self) -> bool {
        let is_label = |text: &String| {
            (1..=63).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        self.namespace.as_ref().is_none_or(is_label)
            && self.name.as_ref().is_none_or(|name| (1..=253).contains(&name.len()))
    }

    /// What it is kept by; names have no blanks.
    fn key(&self, table: &str) -> String {
        let of = |name: &Option<String>| name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        if self.is_all() { table.to_owned() } else { format!("{table}{} /{}", of(&self.namespace), of(&self.name)) }
    }

    fn is_all(&self) -> bool {
        *self == Part::default()
    }

    fn path(&self, resource: &Resource) -> String {
        match &self.namespace {
            Some(namespace) => format!("{}/namespaces/{namespace}/{}", resource.api, resource.plural),
            None => format!("{}/{}", resource.api, resource.plural),
        }
    }

    fn query(&self, limit: usize, next: Option<&str>) -> String {
        let mut query = format!("?limit={limit}");
        if let Some(name) = &self.name {
            // The three characters that mean something in a field selector.
            let name = name.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            query.push_str("&fieldSelector=");
            query.push_str(&escaped(&format!("metadata.name={name}")));
        }
        if let Some(next) = next {
            query.push_str("&continue=");
            query.push_str(&escaped(next));
        }
        query
    }
}

/// Percent encoding of all but the unreserved characters (RFC 3986, 2.3).
fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// A list that is read as its rows are taken.
struct Pages {
    scan: Scan,
    resource: &'static Resource,
    cluster: Arc<Cluster>,
    part: Part,
    limit: usize,
    next: Option<String>,
    seen: HashSet<String>,
    turned: usize,
    bytes: usize,
    is_over: bool,
    is_broken: bool,
    /// Somebody else says what is missing.
    is_quiet: bool,
    rows: std::vec::IntoIter<Row>,
}

impl Iterator for Pages {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        loop {
            if let Some(row) = self.rows.next() {
                return Some(row);
            }
            if self.is_over || !self.scan.budget().is_open() {
                return None;
            }
            self.turn();
        }
    }
}

impl Pages {
    fn new(scan: &Scan, resource: &'static Resource, cluster: Arc<Cluster>, part: Part) -> Self {
        Pages {
            scan: scan.clone(),
            resource,
            cluster,
            part,
            limit: PAGE_OBJECTS,
            next: None,
            seen: HashSet::new(),
            turned: 0,
            bytes: 0,
            is_over: false,
            is_broken: false,
            is_quiet: false,
            rows: Vec::new().into_iter(),
        }
    }

    /// Asks for the next page. Whatever goes wrong ends the list and is said.
    fn turn(&mut self) {
        let path = format!("{}{}", self.part.path(self.resource), self.part.query(self.limit, self.next.as_deref()));
        let body = match self.cluster.get(&path, self.scan.budget()) {
            Ok(body) if !is_crowded_json(&body) => body,
            Ok(_) | Err(http::Error::TooLong) if self.limit > 1 => {
                self.limit = (self.limit / SMALLER).max(1);
                return;
            }
            Ok(_) => return self.end("an object holds more values than are read".to_owned()),
            Err(error) => return self.fail(&error),
        };
        self.turned += 1;
        self.bytes += body.len();
        let (resource, context) = (self.resource, self.cluster.access().context());
        let page = match page::read(&body, &mut |object| row_of(resource, context, object)) {
            Ok(page) => page,
            Err(error) => return self.end(format!("the answer is no list of {}: {error}", resource.plural)),
        };
        drop(body);
        self.rows = page.rows.into_iter();
        self.next = page.next;
        match &self.next {
            None => self.is_over = true,
            Some(next) if !self.seen.insert(next.clone()) => self.end("the list does not come to an end".to_owned()),
            Some(_) if self.turned >= MAX_PAGES || self.bytes >= MAX_BYTES => {
                self.end(format!("the list is longer than {MAX_PAGES} pages or {} MiB", MAX_BYTES >> 20));
            }
            Some(_) => {}
        }
    }

    fn fail(&mut self, error: &http::Error) {
        let what = self.resource.qualified();
        let server = self.cluster.access().server();
        let message = match error {
            http::Error::OverBudget => return self.is_over = true,
            http::Error::Status(401) => format!("{server} does not know this account (401)"),
            http::Error::Status(403) => match &self.part.namespace {
                Some(namespace) => {
                    format!(
                        "this account may not list {what} in the namespace {namespace}: a role lacks the verb list (403)"
                    )
                }
                None => {
                    format!("this account may not list {what}: a role for the whole cluster lacks the verb list (403)")
                }
            },
            http::Error::Status(404) => {
                self.is_over = true;
                self.scan.warn_of_no_subject(format!("the cluster has no {what} in {}", self.resource.api));
                return;
            }
            http::Error::Status(410) => format!("the list of {what} grew old while it was read (410)"),
            other => format!("{server} does not list {what}: {other}"),
        };
        self.end(message);
    }

    fn end(&mut self, message: String) {
        self.is_over = true;
        self.is_broken = true;
        if !self.is_quiet && !self.scan.budget().has_failed() {
            self.scan.warn_undecided(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::objects::{kubernetes_namespace, kubernetes_pod};
    use super::*;

    fn part(namespace: Option<&str>, name: Option<&str>) -> Part {
        Part { namespace: namespace.map(str::to_owned), name: name.map(str::to_owned) }
    }

    #[test]
    fn conditions_become_a_path_and_a_selector() {
        let pods = &kubernetes_pod::RESOURCE;
        assert_eq!(part(None, None).path(pods), "/api/v1/pods");
        assert_eq!(part(Some("shop"), None).path(pods), "/api/v1/namespaces/shop/pods");
        assert_eq!(part(None, None).path(&kubernetes_namespace::RESOURCE), "/api/v1/namespaces");
        assert_eq!(
            part(None, Some("a,b=c&d")).query(500, Some("x+/=")),
            "?limit=500&fieldSelector=metadata.name%3Da%5C%2Cb%5C%3Dc%26d&continue=x%2B%2F%3D"
        );
    }

    #[test]
    fn what_cannot_be_a_name_is_not_asked_for() {
        for (namespace, is_possible) in [("shop", true), ("../../x", false), ("a?b", false), ("", false), ("A", false)]
        {
            assert_eq!(part(Some(namespace), None).is_possible(), is_possible, "{namespace}");
        }
        assert!(!part(None, Some("")).is_possible());
    }
}
