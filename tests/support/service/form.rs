//! Reads a form in several parts.

/// A name, a media type, and bytes.
pub(super) type FilePart = (String, String, Vec<u8>);

/// The fields of a body in several parts, and its file. The boundary is its first line.
pub(super) fn parts_of(body: &[u8]) -> (Vec<(String, String)>, Option<FilePart>) {
    let find = |bytes: &[u8], wanted: &[u8]| bytes.windows(wanted.len()).position(|window| window == wanted);
    let end = find(body, b"\r\n").unwrap();
    let delimiter = [b"\r\n", &body[..end]].concat();
    let (mut fields, mut file) = (Vec::new(), None);
    let mut rest = &body[end + 2..];
    loop {
        let header_end = find(rest, b"\r\n\r\n").unwrap();
        let header = String::from_utf8(rest[..header_end].to_vec()).unwrap();
        let value = |name: &str| {
            let (_, behind) = header.split_once(&format!(" {name}=\""))?;
            behind.split_once('"').map(|(value, _)| value.to_owned())
        };
        let content = &rest[header_end + 4..];
        let length = find(content, &delimiter).unwrap();
        let content_of_part = content[..length].to_vec();
        if let Some(name) = value("filename") {
            let media_type = header.split_once("Content-Type: ").unwrap().1.to_owned();
            file = Some((name, media_type, content_of_part));
        } else {
            fields.push((value("name").unwrap(), String::from_utf8(content_of_part).unwrap()));
        }
        rest = &content[length + delimiter.len()..];
        if rest == b"--\r\n" {
            return (fields, file);
        }
        rest = &rest[2..];
    }
}
