//! The tokens of a JSON text that arrives in pieces: enough to know where in a document a byte is.

/// Longer texts are cut here: keys and the beginnings of addresses are all that is compared.
const TEXT_MAX: usize = 1024;

/// What a byte completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    OpenObject,
    OpenArray,
    Close,
    Comma,
    /// A text in quotes ended; it is in [`Tokens::text`], its escapes but those of `/` as they are written.
    Text,
    /// A number or a word began.
    Bare,
}

/// Splits bytes into tokens.
#[derive(Default)]
pub(super) struct Tokens {
    is_in_text: bool,
    is_escaped: bool,
    is_in_bare: bool,
    text: Vec<u8>,
}

impl Tokens {
    pub(super) fn push(&mut self, byte: u8) -> Option<Token> {
        if self.is_in_text {
            if !self.is_escaped && byte == b'"' {
                self.is_in_text = false;
                return Some(Token::Text);
            }
            // some programs write `https:\/\/host`
            if self.is_escaped && byte == b'/' && self.text.len() < TEXT_MAX {
                self.text.pop();
            }
            self.is_escaped = !self.is_escaped && byte == b'\\';
            if self.text.len() < TEXT_MAX {
                self.text.push(byte);
            }
            return None;
        }
        let was_in_bare = std::mem::take(&mut self.is_in_bare);
        match byte {
            b'"' => {
                self.is_in_text = true;
                self.text.clear();
                None
            }
            b'{' => Some(Token::OpenObject),
            b'[' => Some(Token::OpenArray),
            b'}' | b']' => Some(Token::Close),
            b',' => Some(Token::Comma),
            b':' | b' ' | b'\t' | b'\r' | b'\n' => None,
            _ => {
                self.is_in_bare = true;
                (!was_in_bare).then_some(Token::Bare)
            }
        }
    }

    pub(super) const fn is_in_text(&self) -> bool {
        self.is_in_text
    }

    /// The text that ended last.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The text that ended last as a key.
    pub(super) fn key(&self) -> String {
        let quoted = format!("\"{}\"", String::from_utf8_lossy(&self.text));
        serde_json::from_str(&quoted).unwrap_or(quoted)
    }
}
