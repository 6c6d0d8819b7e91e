//! The definition of a scheduled task, the XML that the scheduler keeps for each (schema of `schemas.microsoft.com/windows/2004/02/mit/task`).
//! Files are of UTF-16 with a mark in front; some tools write UTF-8.

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::Event;

use crate::reader::lossy;
use crate::windows::encoding::utf16;

/// Elements in each other; the schema needs five.
const MAX_DEPTH: usize = 32;
/// Programs of one task; the scheduler allows 32.
const MAX_COMMANDS: usize = 32;

/// What a definition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Task {
    pub is_enabled: bool,
    pub is_hidden: bool,
    /// The programs that it starts.
    pub commands: Vec<Command>,
}

impl Default for Task {
    fn default() -> Self {
        Task { is_enabled: true, is_hidden: false, commands: Vec::new() }
    }
}

/// A program that a task starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Command {
    pub program: String,
    pub arguments: String,
    pub folder: String,
}

/// Text of the encodings that the scheduler accepts, by the mark in front.
pub(crate) fn decode(bytes: &[u8]) -> String {
    match bytes {
        [0xff, 0xfe, text @ ..] => utf16(text),
        [0xfe, 0xff, text @ ..] => {
            utf16(&text.as_chunks::<2>().0.iter().flat_map(|[a, b]| [*b, *a]).collect::<Vec<u8>>())
        }
        [0xef, 0xbb, 0xbf, text @ ..] | text => lossy(text.to_vec()),
    }
}

/// Reads a definition; none if it is not XML or of another kind.
pub(crate) fn parse(xml: &str) -> Option<Task> {
    let mut reader = Reader::from_str(xml);
    let mut task = Task::default();
    let mut path: Vec<String> = Vec::new();
    let mut text = String::new();
    let mut is_task = false;
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) => {
                path.push(String::from_utf8_lossy(element.local_name().as_ref()).into_owned());
                if path.len() > MAX_DEPTH {
                    return None;
                }
                text.clear();
                let names: Vec<&str> = path.iter().map(String::as_str).collect();
                is_task |= names == ["Task"];
                if names == ["Task", "Actions", "Exec"] && task.commands.len() < MAX_COMMANDS {
                    task.commands.push(Command::default());
                }
            }
            Event::End(_) => {
                let names: Vec<&str> = path.iter().map(String::as_str).collect();
                take(&mut task, &names, text.trim());
                path.pop();
                text.clear();
            }
            Event::Text(part) => text.push_str(&part.decode().ok()?),
            Event::CData(part) => text.push_str(&part.decode().ok()?),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().ok()? {
                Some(letter) => text.push(letter),
                None => text.push_str(resolve_xml_entity(&reference.decode().ok()?).unwrap_or_default()),
            },
            Event::Eof => return (is_task && path.is_empty()).then_some(task),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

fn take(task: &mut Task, path: &[&str], text: &str) {
    match path {
        ["Task", "Settings", "Enabled"] => task.is_enabled = !is_false(text),
        ["Task", "Settings", "Hidden"] => task.is_hidden = is_true(text),
        ["Task", "Actions", "Exec", field] => {
            let Some(command) = task.commands.last_mut() else { return };
            match *field {
                "Command" => text.clone_into(&mut command.program),
                "Arguments" => text.clone_into(&mut command.arguments),
                "WorkingDirectory" => text.clone_into(&mut command.folder),
                _ => {}
            }
        }
        _ => {}
    }
}

/// The words of `xs:boolean`.
fn is_true(text: &str) -> bool {
    matches!(text, "true" | "1")
}

fn is_false(text: &str) -> bool {
    matches!(text, "false" | "0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const XML: &str = r#"<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <Triggers><LogonTrigger><Enabled>false</Enabled></LogonTrigger></Triggers>
  <Settings><Enabled>true</Enabled><Hidden>1</Hidden></Settings>
  <Actions Context="Author">
    <Exec><Command>C:\a &amp; b.exe</Command><Arguments>/x &#34;y&#34;</Arguments></Exec>
    <ComHandler><ClassId>{0}</ClassId></ComHandler>
    <Exec><Command><![CDATA[c.exe]]></Command><WorkingDirectory>C:\w</WorkingDirectory></Exec>
  </Actions>
</Task>"#;

    #[test]
    fn a_definition_is_read_in_each_encoding() {
        let wide: Vec<u8> = XML.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let turned: Vec<u8> = XML.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [
            [vec![0xff, 0xfe], wide].concat(),
            [vec![0xfe, 0xff], turned].concat(),
            [vec![0xef, 0xbb, 0xbf], XML.as_bytes().to_vec()].concat(),
        ] {
            let task = parse(&decode(&bytes)).unwrap();
            assert!(task.is_enabled, "a trigger's own word was taken for the task's");
            assert!(task.is_hidden);
            let commands: Vec<_> = task
                .commands
                .iter()
                .map(|one| (one.program.as_str(), one.arguments.as_str(), one.folder.as_str()))
                .collect();
            assert_eq!(commands, [(r"C:\a & b.exe", r#"/x "y""#, ""), ("c.exe", "", r"C:\w")]);
        }
        assert_eq!(parse("<Other/>"), None);
        assert_eq!(parse(&"<Task>".repeat(100)), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            parse(&decode(&bytes));
        }
    }
}
