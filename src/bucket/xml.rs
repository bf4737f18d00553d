//! XML as storages answer: elements with text, no more.

use quick_xml::{
    Reader,
    events::{BytesRef, BytesStart, Event},
};

/// Elements within each other at most; the answers of storages have five.
const DEPTH_MAX: usize = 16;

/// An element at its end.
pub(super) struct Element<'a> {
    /// The names of the elements around it and its own: `ListBucketResult/Contents/Key`.
    pub(super) path: &'a str,
    /// Its own text, as it stands.
    pub(super) text: &'a str,
    /// Whether it has the attribute `Encoded="true"`.
    pub(super) is_encoded: bool,
}

/// An element that has begun.
struct Begun {
    /// The length of the path without it.
    base: usize,
    text: String,
    is_encoded: bool,
}

#[derive(Default)]
struct Stack {
    path: String,
    begun: Vec<Begun>,
    has_root: bool,
}

impl Stack {
    fn begin(&mut self, start: &BytesStart<'_>) -> Option<()> {
        let is_second_root = self.begun.is_empty() && self.has_root;
        if self.begun.len() >= DEPTH_MAX || is_second_root {
            return None;
        }
        let base = self.path.len();
        if base > 0 {
            self.path.push('/');
        }
        self.path.push_str(start.local_name().into_inner());
        let encoded = start.try_get_attribute("Encoded").ok()?;
        let is_encoded = encoded.is_some_and(|encoded| encoded.value.as_ref() == "true");
        self.has_root = true;
        self.begun.push(Begun { base, text: String::new(), is_encoded });
        Some(())
    }

    fn end(&mut self, take: &mut impl FnMut(&Element<'_>)) -> Option<()> {
        let Begun { base, text, is_encoded } = self.begun.pop()?;
        take(&Element { path: &self.path, text: &text, is_encoded });
        self.path.truncate(base);
        Some(())
    }

    /// Takes text. Outside of all elements there are blanks only.
    fn add(&mut self, text: &str) -> Option<()> {
        match self.begun.last_mut() {
            Some(begun) => begun.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return None,
        }
        Some(())
    }
}

/// Passes every element of a document at its end. `None`: it is no XML, or it is cut off; elements may have been passed.
pub(super) fn read(text: &str, mut take: impl FnMut(&Element<'_>)) -> Option<()> {
    let mut reader = Reader::from_str(text);
    let mut stack = Stack::default();
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => stack.begin(&start)?,
            Event::Empty(start) => {
                stack.begin(&start)?;
                stack.end(&mut take)?;
            }
            Event::End(_) => stack.end(&mut take)?,
            Event::Text(text) => stack.add(&text.xml10_content())?,
            Event::CData(text) => stack.add(&text.xml10_content())?,
            Event::GeneralRef(reference) => {
                let mut buffer = [0; 4];
                stack.add(resolved(&reference)?.encode_utf8(&mut buffer))?;
            }
            // entities that a document defines are not resolved
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) | Event::DocType(_) => {}
            Event::Eof => return (stack.has_root && stack.begun.is_empty()).then_some(()),
        }
    }
}

fn resolved(reference: &BytesRef<'_>) -> Option<char> {
    if let Some(character) = reference.resolve_char_ref().ok()? {
        return Some(character);
    }
    match reference.xml10_content().as_ref() {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Option<Vec<String>> {
        let mut found = Vec::new();
        read(text, |element| {
            found.push(format!(
                "{}={}{}",
                element.path,
                element.text,
                if element.is_encoded { "!" } else { "" }
            ));
        })?;
        Some(found)
    }

    #[test]
    fn elements_are_read_with_their_text_and_what_is_no_whole_document_is_refused() {
        let text = "<?xml version=\"1.0\"?>\n<a xmlns=\"http://s3\"><b>x &amp;amp; &#x1F3AC;&#10;<![CDATA[<y>]]></b><c/><d Encoded=\"true\"> %01 </d></a>\n";
        let expected = ["a/b=x &amp; 🎬\n<y>", "a/c=", "a/d= %01 !", "a="];
        assert_eq!(all(text).unwrap(), expected);
        for broken in [
            "",
            "Not Found",
            "{\"a\":1}",
            "<a><b>x</b>",
            "<a><b>x</a></b>",
            "<a>&nothing;</a>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
            "<a></a><b></b>",
            "<a></a>text",
            &"<a>".repeat(100_000),
        ] {
            assert_eq!(all(broken), None, "{broken:.60}");
        }
    }
}
