//! XML of strangers, one token after the other. What could be used against the reader is an error: a document type (it
//! declares entities), an entity that XML does not have, elements that nest without end, a tag or text of megabytes.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};

use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// Elements in each other: a report holds a data stream that holds a benchmark, some 30 levels in all.
const MAX_DEPTH: usize = 128;
/// Bytes of one tag or of one text: remediation scripts have some 100 KiB.
const MAX_TOKEN_BYTES: u64 = 1 << 20;
/// How far is read without looking at the bounds.
const STEP_BYTES: usize = 64 << 10;

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not XML, or broken.
    #[error("is not XML that can be read ({reason}, near byte {at})")]
    Syntax {
        /// Where.
        at: u64,
        /// In the reader's words.
        reason: String,
    },
    /// It has a DTD.
    #[error("has a document type declaration, which can declare entities; none is taken")]
    DocumentType,
    /// An entity that only a DTD could declare.
    #[error("uses the entity `&{0};`, which XML does not have")]
    Entity(String),
    /// It nests too deep.
    #[error("has more than {MAX_DEPTH} elements in each other")]
    Depth,
    /// A tag or text is too long.
    #[error("has a tag or a text of more than {MAX_TOKEN_BYTES} bytes")]
    Token,
    /// It is too large.
    #[error("has more than {0} bytes")]
    Size(u64),
    /// It is too much of something.
    #[error("has more than {most} {what}")]
    Many {
        /// Of what.
        what: &'static str,
        /// How many are taken.
        most: usize,
    },
    /// It is XML, but something else.
    #[error("{0}")]
    Kind(&'static str),
}

/// One step through a file.
pub(crate) enum Token<'a> {
    Start(Element<'a>),
    End,
    Text(Cow<'a, str>),
    /// A comment, an instruction, the declaration.
    Other,
}

/// A tag that opens.
pub(crate) struct Element<'a>(BytesStart<'a>);

impl Element<'_> {
    /// Its name without the prefix.
    pub fn name(&self) -> &[u8] {
        self.0.name().local_name().into_inner()
    }

    /// The attribute of this name, whatever its prefix.
    pub fn attribute(&self, name: &str) -> Result<Option<String>, Error> {
        // Looking for repeated ones would take the square of their number.
        for attribute in self.0.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| Error::Syntax { at: 0, reason: error.to_string() })?;
            let key = attribute.key;
            if key.local_name().as_ref() == name.as_bytes() && key.as_namespace_binding().is_none() {
                let value = attribute
                    .normalized_value(XmlVersion::Explicit1_0)
                    .map_err(|error| Error::Syntax { at: 0, reason: error.to_string() })?;
                return Ok(Some(value.into_owned()));
            }
        }
        Ok(None)
    }
}

/// A reader within its bounds.
pub(crate) struct Xml<R> {
    reader: Reader<Bounded<R>>,
    buffer: Vec<u8>,
    depth: usize,
}

impl<R: BufRead> Xml<R> {
    /// Reads at most `most` bytes.
    pub fn new(input: R, most: u64) -> Self {
        let mut reader = Reader::from_reader(Bounded { input, left: most, of_token: 0, over: None, most });
        reader.config_mut().expand_empty_elements = true;
        Self { reader, buffer: Vec::new(), depth: 0 }
    }

    /// The next token; none at the end of a whole document.
    pub fn token(&mut self) -> Result<Option<Token<'_>>, Error> {
        self.buffer.clear();
        self.reader.get_mut().of_token = 0;
        // Asked before, because an event borrows the buffer.
        let at = self.reader.buffer_position();
        let event = match self.reader.read_event_into(&mut self.buffer) {
            Ok(event) => event,
            Err(error) => {
                let over = self.reader.get_ref().over.clone();
                return Err(over.unwrap_or_else(|| Error::Syntax { at, reason: error.to_string() }));
            }
        };
        let syntax = |reason: String| Error::Syntax { at, reason };
        Ok(Some(match event {
            Event::Start(tag) => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err(Error::Depth);
                }
                Token::Start(Element(tag))
            }
            Event::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                Token::End
            }
            Event::Text(text) => Token::Text(text.decode().map_err(|error| syntax(error.to_string()))?),
            Event::CData(text) => Token::Text(text.decode().map_err(|error| syntax(error.to_string()))?),
            Event::GeneralRef(reference) => {
                let letter = reference.resolve_char_ref().map_err(|error| syntax(error.to_string()))?;
                if let Some(letter) = letter {
                    return Ok(Some(Token::Text(Cow::Owned(letter.to_string()))));
                }
                let name = reference.decode().map_err(|error| syntax(error.to_string()))?;
                match resolve_xml_entity(&name) {
                    Some(text) => Token::Text(Cow::Borrowed(text)),
                    None => return Err(Error::Entity(name.chars().take(100).collect())),
                }
            }
            Event::DocType(_) => return Err(Error::DocumentType),
            Event::Eof if self.depth == 0 => return Ok(None),
            Event::Eof => return Err(syntax("it ends within an element".to_owned())),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => Token::Other,
        }))
    }
}

/// Input that ends with an error where it is longer than it may be.
struct Bounded<R> {
    input: R,
    left: u64,
    of_token: u64,
    /// The error that was given, which the XML reader would only quote.
    over: Option<Error>,
    most: u64,
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.of_token > MAX_TOKEN_BYTES {
            self.over = Some(Error::Token);
        }
        let available = self.input.fill_buf()?;
        if self.left == 0 && !available.is_empty() {
            self.over = Some(Error::Size(self.most));
        }
        if self.over.is_some() {
            return Err(io::Error::other("over the bounds"));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(STEP_BYTES);
        Ok(&available[..available.len().min(most)])
    }

    fn consume(&mut self, count: usize) {
        self.input.consume(count);
        let count = count as u64;
        self.left = self.left.saturating_sub(count);
        self.of_token = self.of_token.saturating_add(count);
    }
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, most: u64) -> Result<String, Error> {
        let mut xml = Xml::new(text.as_bytes(), most);
        let mut told = String::new();
        loop {
            match xml.token()? {
                None => return Ok(told),
                Some(Token::Start(tag)) => {
                    let id = tag.attribute("id")?.map(|id| format!(" {id}")).unwrap_or_default();
                    told.extend(["<", &String::from_utf8_lossy(tag.name()), &id, ">"]);
                }
                Some(Token::End) => told.push_str("</>"),
                Some(Token::Text(text)) => told.push_str(&text),
                Some(Token::Other) => {}
            }
        }
    }

    #[test]
    fn prefixes_go_and_references_of_xml_are_resolved() {
        let text =
            "<?xml version=\"1.0\"?><!-- c --><a:b xmlns:id='no' x:id='1&amp;2'>&lt;&#65;<![CDATA[<&]]><c/></a:b>";
        assert_eq!(read(text, 1_000).unwrap(), "<b 1&2><A<&<c></></>");
    }

    #[test]
    fn what_is_hostile_is_an_error() {
        let laughs = "<!DOCTYPE a [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><a>&b;</a>";
        assert_eq!(read(laughs, 1_000), Err(Error::DocumentType));
        let outside = "<!DOCTYPE a SYSTEM \"http://example.com/a.dtd\"><a/>";
        assert_eq!(read(outside, 1_000), Err(Error::DocumentType));
        assert_eq!(read("<a>&secret;</a>", 1_000), Err(Error::Entity("secret".to_owned())));
        assert!(matches!(read("<a id='&secret;'/>", 1_000), Err(Error::Syntax { .. })));
        let deep = "<a>".repeat(200);
        assert_eq!(read(&deep, 10_000), Err(Error::Depth));
        let huge = format!("<a id='{}'/>", "x".repeat(2 << 20));
        assert_eq!(read(&huge, 8 << 20), Err(Error::Token));
        let long = format!("<a>{}</a>", "x".repeat(2 << 20));
        assert_eq!(read(&long, 8 << 20), Err(Error::Token));
        let name = format!("<{}/>", "x".repeat(2 << 20));
        assert_eq!(read(&name, 8 << 20), Err(Error::Token));
        assert_eq!(read(&"<a></a>".repeat(200), 1_000), Err(Error::Size(1_000)));
        for broken in ["<a>", "<a", "</a>", "<a></b>", "<a>&", "\u{0}<", "<a b>"] {
            assert!(matches!(read(broken, 1_000), Err(Error::Syntax { .. }) | Ok(_)), "{broken}");
        }
        assert!(read("<a>", 1_000).is_err() && read("<a></b>", 1_000).is_err());
    }
}
