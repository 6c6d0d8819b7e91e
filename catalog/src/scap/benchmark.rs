//! XCCDF benchmarks, in a data stream or alone: their profiles, and what of each rule a person reads. The OVAL is not read:
//! the scanner evaluates it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use super::xml::{Element, Error, Token, Xml};
use super::{MAX_CONTENT_BYTES, one_line, short};

/// Rules of one file; the largest that are published have about 1,500.
const MAX_RULES: usize = 10_000;
const MAX_GROUPS: usize = 10_000;
const MAX_PROFILES: usize = 500;
/// Selections of all profiles together.
const MAX_SELECTS: usize = 200_000;
/// References of one rule.
const MAX_REFERENCES: usize = 500;
/// Benchmarks, data streams and references to components, each.
const MAX_PARTS: usize = 2_000;
/// Of one text, what is gathered before it is cut.
const MAX_TEXT_BYTES: usize = 8 << 10;
const MAX_TITLE_CHARS: usize = 200;
const MAX_PROSE_CHARS: usize = 1_000;

/// A checklist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Benchmark {
    /// The data stream it belongs to; none for plain XCCDF.
    pub data_stream: Option<String>,
    /// That data stream's reference to it.
    pub component: Option<String>,
    /// Its identifier.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What its authors want to be told along: terms of use, licence.
    pub notice: String,
    /// Which rules belong together.
    pub profiles: Vec<Profile>,
    /// Every rule.
    pub rules: Vec<Rule>,
    /// The files that its rules refer to, as they are written.
    pub beside: BTreeSet<String>,
    groups: Vec<Item>,
}

/// A choice of rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// Its identifier.
    pub id: String,
    /// Its name for people.
    pub title: String,
    extends: Option<String>,
    selects: Vec<(String, bool)>,
}

/// What can be selected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Item {
    id: String,
    cluster: Option<String>,
    is_selected: bool,
}

/// A rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    item: Item,
    /// Places in the benchmark's list of the groups around it.
    groups: Vec<usize>,
    /// `low`, `medium`, `high`, `info` or `unknown`.
    pub severity: String,
    /// What it asks for.
    pub title: String,
    /// What it looks at, and how it should be.
    pub description: String,
    /// Why.
    pub rationale: String,
    /// What to do about it.
    pub fix: String,
    /// Address of a publication, and the place in it.
    pub references: Vec<(String, String)>,
}

impl Rule {
    /// Its identifier.
    pub fn id(&self) -> &str {
        &self.item.id
    }
}

impl Benchmark {
    /// The profile of this identifier, or of this name behind `_profile_`.
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        let exact = self.profiles.iter().find(|profile| profile.id == name);
        exact.or_else(|| self.profiles.iter().find(|profile| short(&profile.id, "profile") == name))
    }

    /// The rules that a profile evaluates (XCCDF 1.2 §7.2.3.6: its own choices stand above those of the profiles it
    /// extends, and these above what the rule says; nothing in a group that is not selected is evaluated).
    pub fn selected<'a>(&'a self, profile: &'a Profile) -> Vec<&'a Rule> {
        let mut line = vec![profile];
        while let Some(base) = line.last().and_then(|last| last.extends.as_deref()) {
            match self.profiles.iter().find(|profile| profile.id == base) {
                Some(base) if !line.iter().any(|known| known.id == base.id) => line.push(base),
                _ => break,
            }
        }
        let mut chosen: BTreeMap<&str, bool> = BTreeMap::new();
        for (id, is_selected) in line.iter().rev().flat_map(|profile| &profile.selects) {
            chosen.insert(id, *is_selected);
        }
        let is_selected = |item: &Item| {
            let by_cluster = || chosen.get(item.cluster.as_deref()?);
            chosen.get(item.id.as_str()).or_else(by_cluster).copied().unwrap_or(item.is_selected)
        };
        let all_selected = |groups: &[usize]| groups.iter().filter_map(|at| self.groups.get(*at)).all(is_selected);
        self.rules.iter().filter(|rule| is_selected(&rule.item) && all_selected(&rule.groups)).collect()
    }
}

/// Reads every benchmark of a data stream collection, or the one of plain XCCDF.
pub fn read(input: impl BufRead) -> Result<Vec<Benchmark>, Error> {
    let mut xml = Xml::new(input, MAX_CONTENT_BYTES);
    let mut state = State::default();
    while let Some(token) = xml.token()? {
        match token {
            Token::Start(tag) => {
                let frame = state.open(&tag)?;
                state.frames.push(frame);
            }
            Token::End => state.close()?,
            Token::Text(text) => state.gather(&text),
            Token::Other => {}
        }
    }
    if state.benchmarks.is_empty() {
        return Err(Error::Kind("holds no XCCDF benchmark"));
    }
    for benchmark in &mut state.benchmarks {
        let component = benchmark.component.take().map(|id| format!("#{id}"));
        let reference = state.references.iter().find(|reference| Some(&reference.href) == component.as_ref());
        if let Some(Reference { data_stream, id, .. }) = reference {
            (benchmark.data_stream, benchmark.component) = (Some(data_stream.clone()), Some(id.clone()));
        } else if component.is_some() {
            return Err(Error::Kind("has a benchmark that no data stream refers to"));
        }
    }
    Ok(state.benchmarks)
}

/// A data stream's word for a component.
struct Reference {
    data_stream: String,
    id: String,
    href: String,
}

/// An element that is open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Frame {
    Benchmark,
    Profile,
    Group,
    Rule,
    Field(Field),
    Other,
}

/// A text that is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Title,
    Notice,
    Description,
    Rationale,
    Fix,
    Reference,
}

#[derive(Default)]
struct State {
    frames: Vec<Frame>,
    text: String,
    data_stream: Option<String>,
    component: Option<String>,
    references: Vec<Reference>,
    /// The last is the open one, while there is its frame.
    benchmarks: Vec<Benchmark>,
    open_groups: Vec<usize>,
    selects: usize,
}

impl State {
    fn open(&mut self, tag: &Element<'_>) -> Result<Frame, Error> {
        let around = self.frames.last().copied().unwrap_or(Frame::Other);
        let id = || Ok::<_, Error>(tag.attribute("id")?.unwrap_or_default());
        match (around, tag.name()) {
            (Frame::Other, b"data-stream") => self.data_stream = Some(id()?),
            (Frame::Other, b"component-ref") => self.refer(tag)?,
            (Frame::Other, b"component") => self.component = Some(id()?),
            (Frame::Other, b"Benchmark") => {
                bounded(self.benchmarks.len(), MAX_PARTS, "benchmarks")?;
                let component = self.component.take();
                self.benchmarks.push(Benchmark { id: id()?, component, ..Benchmark::default() });
                return Ok(Frame::Benchmark);
            }
            (Frame::Field(_), b"sub") => {
                let name = tag.attribute("idref")?.unwrap_or_default();
                self.gather(&short(&name, "value"));
            }
            (Frame::Benchmark, b"Profile") => {
                let extends = tag.attribute("extends")?;
                let profile = Profile { id: id()?, extends, ..Profile::default() };
                let profiles = &mut self.benchmark()?.profiles;
                bounded(profiles.len(), MAX_PROFILES, "profiles")?;
                profiles.push(profile);
                return Ok(Frame::Profile);
            }
            (Frame::Profile, b"select") => self.select(tag)?,
            (Frame::Benchmark | Frame::Group, b"Group") => {
                let item = item(tag)?;
                let groups = &mut self.benchmark()?.groups;
                bounded(groups.len(), MAX_GROUPS, "groups")?;
                groups.push(item);
                let place = groups.len() - 1;
                self.open_groups.push(place);
                return Ok(Frame::Group);
            }
            (Frame::Benchmark | Frame::Group, b"Rule") => {
                let severity = tag.attribute("severity")?.unwrap_or_else(|| "unknown".to_owned());
                let rule = Rule { item: item(tag)?, groups: self.open_groups.clone(), severity, ..Rule::default() };
                let rules = &mut self.benchmark()?.rules;
                bounded(rules.len(), MAX_RULES, "rules")?;
                rules.push(rule);
                return Ok(Frame::Rule);
            }
            (_, b"check-content-ref") if self.frames.contains(&Frame::Rule) => {
                if let Some(href) = tag.attribute("href")? {
                    let beside = &mut self.benchmark()?.beside;
                    bounded(beside.len(), MAX_PARTS, "files that rules refer to")?;
                    beside.insert(href);
                }
            }
            (around, name) => return self.open_field(around, name, tag),
        }
        Ok(Frame::Other)
    }

    fn open_field(&mut self, around: Frame, name: &[u8], tag: &Element<'_>) -> Result<Frame, Error> {
        let field = match (around, name) {
            (Frame::Benchmark | Frame::Profile | Frame::Rule, b"title") => Field::Title,
            (Frame::Benchmark, b"notice") => Field::Notice,
            (Frame::Rule, b"description") => Field::Description,
            (Frame::Rule, b"rationale") => Field::Rationale,
            (Frame::Rule, b"fixtext") => Field::Fix,
            (Frame::Rule, b"reference") => {
                let href = tag.attribute("href")?.unwrap_or_default();
                let references = &mut self.rule()?.references;
                bounded(references.len(), MAX_REFERENCES, "references of one rule")?;
                references.push((href, String::new()));
                Field::Reference
            }
            // Markup within a text is a part of it.
            (Frame::Field(field), _) => return Ok(Frame::Field(field)),
            _ => return Ok(Frame::Other),
        };
        self.text.clear();
        Ok(Frame::Field(field))
    }

    fn close(&mut self) -> Result<(), Error> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        match frame {
            Frame::Group => drop(self.open_groups.pop()),
            // A text ends with its outermost element.
            Frame::Field(field) if self.frames.last() != Some(&frame) => self.keep(field)?,
            _ => {}
        }
        Ok(())
    }

    fn keep(&mut self, field: Field) -> Result<(), Error> {
        let text = std::mem::take(&mut self.text);
        let line = |most| one_line(&text, most);
        let around = self.frames.last().copied();
        match (field, around) {
            (Field::Title, Some(Frame::Benchmark)) => self.benchmark()?.title = line(MAX_TITLE_CHARS),
            (Field::Title, Some(Frame::Profile)) => {
                if let Some(profile) = self.benchmark()?.profiles.last_mut() {
                    profile.title = line(MAX_TITLE_CHARS);
                }
            }
            (Field::Title, _) => self.rule()?.title = line(MAX_TITLE_CHARS),
            (Field::Notice, _) => self.benchmark()?.notice = line(MAX_TITLE_CHARS),
            (Field::Description, _) => self.rule()?.description = line(MAX_PROSE_CHARS),
            (Field::Rationale, _) => self.rule()?.rationale = line(MAX_PROSE_CHARS),
            (Field::Fix, _) => self.rule()?.fix = line(MAX_PROSE_CHARS),
            (Field::Reference, _) => {
                if let Some((_, place)) = self.rule()?.references.last_mut() {
                    *place = line(MAX_TITLE_CHARS);
                }
            }
        }
        Ok(())
    }

    fn gather(&mut self, text: &str) {
        if matches!(self.frames.last(), Some(Frame::Field(_))) && self.text.len() < MAX_TEXT_BYTES {
            self.text.push_str(text);
        }
    }

    fn refer(&mut self, tag: &Element<'_>) -> Result<(), Error> {
        let (Some(data_stream), Some(id), Some(href)) =
            (self.data_stream.clone(), tag.attribute("id")?, tag.attribute("href")?)
        else {
            return Ok(());
        };
        bounded(self.references.len(), MAX_PARTS, "references to components")?;
        self.references.push(Reference { data_stream, id, href });
        Ok(())
    }

    fn select(&mut self, tag: &Element<'_>) -> Result<(), Error> {
        let id = tag.attribute("idref")?.unwrap_or_default();
        let is_selected = is_true(tag.attribute("selected")?.as_deref());
        bounded(self.selects, MAX_SELECTS, "selections")?;
        self.selects += 1;
        if let Some(profile) = self.benchmark()?.profiles.last_mut() {
            profile.selects.push((id, is_selected));
        }
        Ok(())
    }

    fn benchmark(&mut self) -> Result<&mut Benchmark, Error> {
        self.benchmarks.last_mut().ok_or(Error::Kind("has a part of a benchmark outside of one"))
    }

    fn rule(&mut self) -> Result<&mut Rule, Error> {
        self.benchmark()?.rules.last_mut().ok_or(Error::Kind("has a part of a rule outside of one"))
    }
}

fn item(tag: &Element<'_>) -> Result<Item, Error> {
    let selected = tag.attribute("selected")?;
    Ok(Item {
        id: tag.attribute("id")?.unwrap_or_default(),
        cluster: tag.attribute("cluster-id")?,
        is_selected: selected.is_none() || is_true(selected.as_deref()),
    })
}

fn is_true(word: Option<&str>) -> bool {
    matches!(word, Some("true" | "1"))
}

fn bounded(number: usize, most: usize, what: &'static str) -> Result<(), Error> {
    if number < most { Ok(()) } else { Err(Error::Many { what, most }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const XCCDF: &str = r#"<Benchmark xmlns="http://checklists.nist.gov/xccdf/1.2" id="b">
      <title>Of <b>one</b></title><notice id="n">Free to use</notice>
      <Profile id="x_profile_base"><title>Base</title><select idref="one" selected="true"/><select idref="two" selected="1"/></Profile>
      <Profile id="x_profile_top" extends="x_profile_base"><title>Top</title><select idref="two" selected="false"/><select idref="c" selected="true"/></Profile>
      <Profile id="x_profile_circle" extends="x_profile_circle"><title>Circle</title></Profile>
      <Profile id="x_profile_none"><title>None</title><select idref="g" selected="false"/></Profile>
      <Group id="g"><title>not a rule's</title>
        <Rule id="one" selected="false" severity="high"><title>One</title>
          <description>Set <code>x</code> to <sub idref="x_value_y"/>.</description>
          <rationale>Because.</rationale><reference href="http://a">1.2</reference><reference>3</reference>
          <check system="oval"><check-content-ref href="oval.xml" name="d"/></check>
        </Rule>
        <Rule id="two" selected="false"/>
      </Group>
      <Rule id="three" cluster-id="c" selected="false"/>
      <Rule id="always"/>
    </Benchmark>"#;

    fn ids(benchmark: &Benchmark, profile: &str) -> Vec<String> {
        let profile = benchmark.profile(profile).unwrap();
        benchmark.selected(profile).iter().map(|rule| rule.id().to_owned()).collect()
    }

    #[test]
    fn a_profile_chooses_above_its_base_and_above_the_rule() {
        let benchmark = read(XCCDF.as_bytes()).unwrap().remove(0);
        assert_eq!((benchmark.title.as_str(), benchmark.notice.as_str()), ("Of one", "Free to use"));
        assert_eq!(benchmark.beside.iter().collect::<Vec<_>>(), ["oval.xml"]);
        assert_eq!(ids(&benchmark, "base"), ["one", "two", "always"]);
        assert_eq!(ids(&benchmark, "x_profile_top"), ["one", "three", "always"]);
        assert_eq!(ids(&benchmark, "circle"), ["always"]);
        assert_eq!(ids(&benchmark, "none"), ["always"]);
        let rule = &benchmark.rules[0];
        assert_eq!((rule.severity.as_str(), rule.title.as_str()), ("high", "One"));
        assert_eq!((rule.description.as_str(), rule.rationale.as_str()), ("Set x to y.", "Because."));
        assert_eq!(rule.references, [("http://a".into(), "1.2".into()), (String::new(), "3".into())]);
    }

    #[test]
    fn a_benchmark_of_a_data_stream_knows_how_it_is_called_there() {
        let stream = |href: &str| {
            format!(
                r#"<ds:data-stream-collection xmlns:ds="d" xmlns:xlink="x"><ds:data-stream id="stream"><ds:checklists>
                <ds:component-ref id="cref" xlink:href="{href}"/></ds:checklists></ds:data-stream>
                <ds:component id="other"><oval/></ds:component><ds:component id="comp">{XCCDF}</ds:component></ds:data-stream-collection>"#
            )
        };
        let benchmarks = read(stream("#comp").as_bytes()).unwrap();
        assert_eq!(benchmarks.len(), 1);
        assert_eq!(
            (benchmarks[0].data_stream.as_deref(), benchmarks[0].component.as_deref()),
            (Some("stream"), Some("cref"))
        );
        assert!(matches!(read(stream("#gone").as_bytes()), Err(Error::Kind(_))));
        assert!(matches!(read("<oval/>".as_bytes()), Err(Error::Kind(_))));
    }

    #[test]
    fn too_much_of_anything_is_an_error() {
        let rules = format!("<Benchmark id='b'>{}</Benchmark>", "<Rule id='r'/>".repeat(MAX_RULES + 1));
        assert_eq!(read(rules.as_bytes()), Err(Error::Many { what: "rules", most: MAX_RULES }));
        let references = "<reference>x</reference>".repeat(MAX_REFERENCES + 1);
        let text = format!("<Benchmark id='b'><Rule id='r'>{references}</Rule></Benchmark>");
        assert!(matches!(read(text.as_bytes()), Err(Error::Many { .. })));
    }
}
