//! Reads the body of `POST upload` in flat memory: the fields are kept, and the bytes of the file are counted.

/// The longest header of a part, and the longest value of a field, in bytes.
const PART_MAX: usize = 1024 * 1024;

/// A file that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrivedFile {
    /// As the client calls it.
    pub name: String,
    pub media_type: String,
    /// In bytes.
    pub size: u64,
}

/// The parts of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ArrivedParts {
    pub(super) fields: Vec<(String, String)>,
    pub(super) file: Option<ArrivedFile>,
}

/// Where a reader is in a body.
enum ReaderState {
    /// Before the first part.
    Preamble,
    Header,
    Field {
        name: String,
        value: Vec<u8>,
    },
    File(ArrivedFile),
    /// Behind the last part.
    Epilogue,
}

/// Reads a body part by part.
pub(super) struct MultipartReader {
    /// What ends each part.
    delimiter: Vec<u8>,
    /// Bytes that are not understood yet.
    rest: Vec<u8>,
    state: ReaderState,
    parts: ArrivedParts,
    /// Bytes so far.
    read: u64,
}

impl MultipartReader {
    /// For the `Content-Type` of a request. `None`: it is no form of several parts.
    pub(super) fn of_content_type(content_type: &str) -> Option<Self> {
        let (kind, parameters) = content_type.split_once(';')?;
        let boundary = parameters.split(';').find_map(|one| one.trim().strip_prefix("boundary="))?;
        let is_multipart = kind.trim().eq_ignore_ascii_case("multipart/form-data");
        is_multipart.then(|| Self {
            delimiter: format!("\r\n--{}", boundary.trim_matches('"')).into_bytes(),
            // the first delimiter has no line before it
            rest: b"\r\n".to_vec(),
            state: ReaderState::Preamble,
            parts: ArrivedParts::default(),
            read: 0,
        })
    }

    /// Bytes of the body so far.
    pub(super) const fn read(&self) -> u64 {
        self.read
    }

    /// Reads on; the error is the service's message.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.read += bytes.len() as u64;
        self.rest.extend_from_slice(bytes);
        while self.step()? {}
        Ok(())
    }

    /// What arrived, if the body is whole.
    pub(super) fn finish(self) -> Option<ArrivedParts> {
        matches!(self.state, ReaderState::Epilogue).then_some(self.parts)
    }

    /// False: more bytes are needed.
    fn step(&mut self) -> Result<bool, String> {
        match self.state {
            ReaderState::Epilogue => {
                self.rest.clear();
                Ok(false)
            }
            ReaderState::Header => self.read_header(),
            ReaderState::Preamble | ReaderState::Field { .. } | ReaderState::File(_) => self.read_part(),
        }
    }

    fn read_header(&mut self) -> Result<bool, String> {
        let Some(end) = memchr::memmem::find(&self.rest, b"\r\n\r\n") else {
            return if self.rest.len() > PART_MAX {
                Err("the header of a part is too long".to_owned())
            } else {
                Ok(false)
            };
        };
        let header = String::from_utf8_lossy(&self.rest[..end]).into_owned();
        self.rest.drain(..end + 4);
        let parameter = |name: &str| {
            let (_, behind) = header.split_once(&format!(" {name}=\""))?;
            behind.split_once('"').map(|(value, _)| value.to_owned())
        };
        let name = parameter("name").ok_or("a part has no name")?;
        self.state = match parameter("filename") {
            Some(file_name) if name == "file" => {
                let types = header.lines().find_map(|line| line.strip_prefix("Content-Type: "));
                let media_type = types.unwrap_or_default().trim().to_owned();
                ReaderState::File(ArrivedFile { name: file_name, media_type, size: 0 })
            }
            Some(_) | None => ReaderState::Field { name, value: Vec::new() },
        };
        Ok(true)
    }

    fn read_part(&mut self) -> Result<bool, String> {
        let Some(end) = memchr::memmem::find(&self.rest, &self.delimiter) else {
            // the delimiter may have begun
            let known = (self.rest.len() + 1).saturating_sub(self.delimiter.len());
            self.take(known)?;
            return Ok(false);
        };
        let behind = end + self.delimiter.len();
        let Some(mark) = self.rest.get(behind..behind + 2) else { return Ok(false) };
        let is_last = match mark {
            b"--" => true,
            b"\r\n" => false,
            _ => return Err("a part ends otherwise than with its boundary".to_owned()),
        };
        self.take(end)?;
        self.rest.drain(..self.delimiter.len() + 2);
        let next = if is_last { ReaderState::Epilogue } else { ReaderState::Header };
        match std::mem::replace(&mut self.state, next) {
            ReaderState::Field { name, value } => {
                self.parts.fields.push((name, String::from_utf8_lossy(&value).into_owned()));
            }
            ReaderState::File(file) => self.parts.file = Some(file),
            ReaderState::Preamble | ReaderState::Header | ReaderState::Epilogue => {}
        }
        Ok(true)
    }

    /// Takes bytes of the part.
    fn take(&mut self, count: usize) -> Result<(), String> {
        match &mut self.state {
            ReaderState::Field { name, value } => {
                value.extend_from_slice(&self.rest[..count]);
                if value.len() > PART_MAX {
                    return Err(format!("{name} is too long"));
                }
            }
            ReaderState::File(file) => file.size += count as u64,
            ReaderState::Preamble | ReaderState::Header | ReaderState::Epilogue => {}
        }
        self.rest.drain(..count);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "--B\r\nContent-Disposition: form-data; name=\"tags\"\r\n\r\na\r\n--\r\nb\r\n\
                        --B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a b.mp4\"\r\n\
                        Content-Type: video/mp4\r\n\r\n01\r\n--A\r\n89\r\n--B--\r\n";

    fn read(body: &str, size: usize) -> Option<ArrivedParts> {
        let mut reader = MultipartReader::of_content_type("multipart/form-data; boundary=B").unwrap();
        for part in body.as_bytes().chunks(size) {
            reader.push(part).unwrap();
        }
        reader.finish()
    }

    #[test]
    fn a_body_is_read_however_it_is_cut_into_parts() {
        let file = ArrivedFile { name: "a b.mp4".to_owned(), media_type: "video/mp4".to_owned(), size: 11 };
        let fields = vec![("tags".to_owned(), "a\r\n--\r\nb".to_owned())];
        let expected = ArrivedParts { fields, file: Some(file) };
        for size in 1..=BODY.len() {
            assert_eq!(read(BODY, size).as_ref(), Some(&expected), "{size}");
        }
    }

    #[test]
    fn a_body_without_its_end_is_not_whole() {
        for length in 0..BODY.len() - 4 {
            assert_eq!(read(&BODY[..length], 7), None, "{length}");
        }
    }
}
