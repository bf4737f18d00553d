//! Where a JSON value ends, and in which shape a file is written.

use serde_json::value::RawValue;

use super::arrays;

/// How the file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One value a line: a broken line costs that line.
    Lines,
    /// Values wherever they begin and end.
    Values,
    /// The values within one array or object of the file's only object.
    Elements,
}

/// Where a value ends.
pub(super) struct ValueEnd {
    shape: Shape,
    depth: u32,
    is_in_text: bool,
    is_escaped: bool,
}

impl ValueEnd {
    pub(super) const fn new(shape: Shape) -> Self {
        Self { shape, depth: 0, is_in_text: false, is_escaped: false }
    }

    /// How many of these bytes belong to the value, and whether it ends with them.
    pub(super) fn pass(&mut self, input: &[u8]) -> (usize, bool) {
        if self.shape == Shape::Lines {
            return memchr::memchr(b'\n', input).map_or((input.len(), false), |end| (end + 1, true));
        }
        for (at, byte) in input.iter().enumerate() {
            if self.is_in_text {
                match byte {
                    _ if self.is_escaped => self.is_escaped = false,
                    b'\\' => self.is_escaped = true,
                    b'"' => {
                        self.is_in_text = false;
                        if self.depth == 0 {
                            return (at + 1, true);
                        }
                    }
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.is_in_text = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth == 0 && self.shape == Shape::Elements => return (at, true),
                b'}' | b']' if self.depth <= 1 => return (at + 1, true),
                b'}' | b']' => self.depth -= 1,
                b',' | b'\n' if self.depth == 0 => return (at, true),
                _ => {}
            }
        }
        (input.len(), false)
    }

    /// Whether the value may end where the file does.
    pub(super) const fn is_whole_at_end(&self) -> bool {
        match self.shape {
            Shape::Lines => true,
            Shape::Values | Shape::Elements => self.depth == 0 && !self.is_in_text,
        }
    }
}

/// One value a line, when the first line is one.
pub(super) fn shape_of(head: &[u8]) -> Shape {
    let head = head.trim_ascii_start();
    let first = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_line = first.starts_with(b"{") && serde_json::from_slice::<&RawValue>(first).is_ok();
    if is_line { Shape::Lines } else { Shape::Values }
}

/// Whether a file that begins so is JSON.
pub(in crate::manifest) fn is_json(head: &[u8]) -> bool {
    let head = head.trim_ascii_start();
    let behind = |count: usize| head.get(count..).unwrap_or_default().trim_ascii_start().first().copied();
    if arrays::are_in_array(head) || arrays::are_lines(head) {
        return true;
    }
    match head.first() {
        Some(b'{') => matches!(behind(1), Some(b'"' | b'}')),
        Some(b'[') => matches!(behind(1), Some(b'{' | b'"' | b']')),
        _ => false,
    }
}

/// Whether the first value of a file that begins so is there in full. The elements of an array come one by one.
pub(in crate::manifest) fn is_whole_value(head: &[u8]) -> bool {
    if head.trim_ascii_start().starts_with(b"[") {
        return true;
    }
    let mut values = serde_json::Deserializer::from_slice(head.trim_ascii_start()).into_iter::<&RawValue>();
    values.next().is_some_and(|value| value.is_ok())
}
