//! The outline of a file that is one JSON object: which of its arrays and objects hold records.

use std::collections::HashMap;

use super::tokens::{Token, Tokens};
use crate::manifest::{
    addresses::{Kind, is_web_address, kind_of},
    json_text::JsonFault,
    mapping::{Field, parts_of},
};

/// Arrays and objects deeper than this hold no rows.
const DEPTH_MAX: usize = 4;
/// This many arrays and objects are kept.
const CONTAINERS_MAX: usize = 256;
/// This many keys of an object are compared with those of its neighbours.
const KEYS_MAX: usize = 64;
/// What is kept of a member of the outermost object, in bytes. Of a longer one, long arrays and objects within are left out.
const MEMBER_MAX: usize = 128 * 1024;

/// An array, or an object of objects, outside all arrays.
#[derive(Clone, Debug, Default)]
pub(super) struct Collection {
    /// Its path, such as `data.items`; empty for the outermost object.
    pub(super) path: String,
    pub(super) is_array: bool,
    /// The direct children: all of them, those that are objects, and those that are neither objects nor arrays.
    pub(super) children: u64,
    pub(super) objects: u64,
    pub(super) scalars: u64,
    /// Arrays among the children that hold a web address somewhere.
    pub(super) arrays_with_web: u64,
    /// Objects among the children that hold a web address somewhere.
    pub(super) objects_with_web: u64,
    /// Objects among the children with a web address under a key that means the url.
    pub(super) objects_with_url: u64,
    /// Objects among the children that hold, at any depth, the address of a video file under a key that means the url.
    pub(super) objects_with_video: u64,
    /// Whether a web address is in it, under a key that means the url.
    pub(super) has_url: bool,
    /// Addresses of video files under such a key: in itself, and at any depth.
    pub(super) own_videos: u64,
    pub(super) videos: u64,
    /// The keys that all objects among the children have.
    pub(super) common_keys: Vec<String>,
    /// The most keys that an object among the children has.
    pub(super) keys_max: usize,
    /// Its own keys, as far as they are kept.
    pub(super) keys: Vec<String>,
    /// How many children each of its arrays and objects has, where that is the same number.
    pub(super) common_size: Option<u64>,
    /// Arrays and objects among the children that hold web addresses and nothing else.
    pub(super) web_columns: u64,
    /// Whether an object is in an array or object among the children.
    pub(super) has_inner_objects: bool,
}

/// What a document holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Document {
    pub(super) root: Collection,
    /// Those within, the outer ones behind the inner ones.
    pub(super) containers: Vec<Collection>,
    /// The members of the outermost object, as they are written but without what is long.
    pub(super) members: Vec<(String, String)>,
    /// The keys of each object outside all arrays, by its path.
    pub(super) keys: HashMap<String, Vec<String>>,
    /// The first key outside all arrays that is there twice in its object.
    pub(super) key_twice: Option<Box<JsonFault>>,
}

#[derive(Default)]
struct Frame {
    is_outside_arrays: bool,
    expects_key: bool,
    current_key: String,
    /// Whether a web address is somewhere in it.
    has_web: bool,
    /// Web addresses among the children.
    web_texts: u64,
    /// Arrays and objects among the children.
    inner: u64,
    container: Collection,
}

/// Reads bytes and keeps their outline.
#[derive(Default)]
pub(super) struct Outline {
    tokens: Tokens,
    frames: Vec<Frame>,
    values: u32,
    is_object: bool,
    document: Document,
    /// The line that is read, from 1, and how many of its bytes are read.
    line: u64,
    column: u64,
    /// The value of the outermost object that is being read, as far as it is kept.
    member: Option<Member>,
}

/// A member of the outermost object, without what is long in it.
#[derive(Default)]
struct Member {
    text: Vec<u8>,
    /// Where the arrays and objects begin that are open, outside all arrays.
    starts: Vec<usize>,
    /// The rest of the array or object at this depth is left out; 0: the rest of the member.
    left_out_at: Option<usize>,
}

impl Member {
    /// Takes a byte. Behind it `depth` arrays and objects of the member are open; `is_outside`: the last one is outside all arrays.
    fn push(&mut self, byte: u8, depth: usize, is_outside: bool) {
        if let Some(left_out_at) = self.left_out_at {
            if depth < left_out_at {
                self.left_out_at = None;
            }
            return;
        }
        if is_outside && depth > self.starts.len() {
            self.starts.push(self.text.len());
        }
        self.text.push(byte);
        self.starts.truncate(depth);
        if self.text.len() <= MEMBER_MAX {
            return;
        }
        // what is open is long; around an object of many short ones it is the outer one
        while self.text.len() > MEMBER_MAX / 2 {
            self.left_out_at = Some(self.starts.len());
            let start = self.starts.pop().unwrap_or(0);
            self.text.truncate(start);
        }
        self.text.extend_from_slice(b"null");
    }
}

impl Outline {
    /// Takes more bytes; false when the file is not one object.
    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            (self.line, self.column) = match byte {
                b'\n' => (self.line + 1, 0),
                _ => (self.line, self.column + 1),
            };
            let is_in_root = self.frames.len() == 1;
            let token = self.tokens.push(*byte);
            if is_in_root && matches!(token, Some(Token::Comma | Token::Close)) {
                self.end_member();
            }
            match token {
                Some(Token::OpenObject) => self.open(true),
                Some(Token::OpenArray) => self.open(false),
                Some(Token::Close) => self.close(),
                Some(Token::Comma) => {
                    if let Some(frame) = self.frames.last_mut() {
                        frame.expects_key = !frame.container.is_array;
                    }
                }
                Some(Token::Text) => self.text(),
                Some(Token::Bare) => self.scalar(false),
                None => {}
            }
            if let (Some(member), Some(frame)) = (&mut self.member, self.frames.last()) {
                member.push(*byte, self.frames.len() - 1, frame.is_outside_arrays);
            } else if is_in_root && *byte == b':' && !self.tokens.is_in_text() {
                self.member = Some(Member::default());
            }
            if self.values > 1 || (self.values == 1 && !self.is_object) {
                return false;
            }
        }
        true
    }

    /// What was found; none where the file is not one object.
    pub(super) fn finish(mut self) -> Option<Document> {
        // a file may be cut off, or only its beginning be known
        while !self.frames.is_empty() {
            self.close();
        }
        (self.values == 1 && self.is_object).then_some(self.document)
    }

    fn open(&mut self, is_object: bool) {
        let depth = self.frames.len();
        let mut frame = Frame { expects_key: is_object, ..Frame::default() };
        frame.container.is_array = !is_object;
        if let Some(parent) = self.frames.last_mut() {
            parent.container.children += 1;
            frame.is_outside_arrays = parent.is_outside_arrays && !parent.container.is_array;
            if frame.is_outside_arrays && depth <= DEPTH_MAX {
                frame.container.path = join(&parent.container.path, &parent.current_key);
            }
        } else {
            self.values += 1;
            self.is_object = is_object;
            frame.is_outside_arrays = true;
        }
        self.frames.push(frame);
    }

    fn close(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        let depth = self.frames.len();
        let Some(parent) = self.frames.last_mut() else {
            self.document.keys.insert(String::new(), frame.container.keys.clone());
            self.document.root = frame.container;
            return;
        };
        parent.has_web |= frame.has_web;
        parent.container.has_inner_objects |= frame.container.objects > 0;
        parent.container.videos += frame.container.videos;
        let size = frame.container.children;
        if parent.inner == 0 {
            parent.container.common_size = Some(size);
        } else if parent.container.common_size != Some(size) {
            parent.container.common_size = None;
        }
        parent.inner += 1;
        parent.container.web_columns += u64::from(size > 0 && frame.web_texts == size);
        let is_object = !frame.container.is_array;
        parent.container.arrays_with_web += u64::from(!is_object && frame.has_web);
        if is_object {
            let inside = &mut parent.container;
            inside.objects_with_web += u64::from(frame.has_web);
            inside.objects_with_url += u64::from(frame.container.has_url);
            inside.objects_with_video += u64::from(frame.container.videos > 0);
            if inside.objects == 0 {
                inside.common_keys.clone_from(&frame.container.keys);
            } else {
                inside.common_keys.retain(|key| frame.container.keys.contains(key));
            }
            inside.objects += 1;
            inside.keys_max = inside.keys_max.max(frame.container.keys.len());
        }
        if is_object
            && frame.is_outside_arrays
            && depth <= DEPTH_MAX
            && self.document.keys.len() < CONTAINERS_MAX
        {
            self.document.keys.insert(frame.container.path.clone(), frame.container.keys.clone());
        }
        let is_row_holder = !is_object || frame.container.objects > 1;
        if frame.is_outside_arrays
            && is_row_holder
            && depth <= DEPTH_MAX
            && self.document.containers.len() < CONTAINERS_MAX
        {
            self.document.containers.push(frame.container);
        }
    }

    fn text(&mut self) {
        let Some(frame) = self.frames.last_mut() else { return self.scalar(false) };
        if !frame.expects_key {
            let is_web = is_web_address(self.tokens.text());
            self.scalar(is_web);
            if is_web {
                self.note_url();
            }
            return;
        }
        frame.expects_key = false;
        frame.current_key = self.tokens.key();
        if frame.is_outside_arrays && frame.container.keys.contains(&frame.current_key) {
            self.document.key_twice.get_or_insert_with(|| {
                let (key_twice, reason) = (Some(frame.current_key.clone()), String::new());
                Box::new(JsonFault { key_twice, reason, line: self.line + 1, column: self.column })
            });
        }
        if frame.container.keys.len() < KEYS_MAX {
            frame.container.keys.push(frame.current_key.clone());
        }
    }

    fn scalar(&mut self, is_web: bool) {
        let Some(frame) = self.frames.last_mut() else {
            self.values += 1;
            self.is_object = false;
            return;
        };
        frame.container.children += 1;
        frame.container.scalars += 1;
        if is_web {
            frame.has_web = true;
            frame.web_texts += 1;
        }
    }

    /// Notes that the web address that was read last stands under a key that means the url, if so.
    fn note_url(&mut self) {
        let Some(frame) = self.frames.last_mut() else { return };
        if !frame.container.is_array && means(Field::Url, &frame.current_key) {
            frame.container.has_url = true;
            let is_video =
                std::str::from_utf8(self.tokens.text()).is_ok_and(|text| kind_of(text) == Kind::Media);
            frame.container.own_videos += u64::from(is_video);
            frame.container.videos += u64::from(is_video);
        }
    }

    /// Keeps the member of the outermost object that ends here.
    fn end_member(&mut self) {
        let Some(member) = self.member.take() else { return };
        let (Some(root), Ok(value)) = (self.frames.first(), String::from_utf8(member.text)) else { return };
        if self.document.members.len() < CONTAINERS_MAX {
            self.document.members.push((root.current_key.clone(), value.trim().to_owned()));
        }
    }
}

/// The path of a key in an object of this path.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Whether a field is recognised by this key.
pub(super) fn means(field: Field, key: &str) -> bool {
    field.header_names().contains(&parts_of(key).as_str())
}
