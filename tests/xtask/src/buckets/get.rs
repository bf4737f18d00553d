//! Fetches links as the service does: over plain HTTP, with nothing but the link.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::program::words;

/// No storage on loopback is silent for longer.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// A connection to one storage, kept for the next request.
#[derive(Default)]
pub(super) struct Connection(Option<BufReader<TcpStream>>);

impl Connection {
    /// The status and the body of what a link leads to.
    pub(super) fn get(&mut self, link: &str) -> Result<(u16, Vec<u8>), String> {
        self.send("GET", link, "", &[])
    }

    /// Sends one request. `headers` are whole lines.
    pub(super) fn send(
        &mut self,
        method: &str,
        link: &str,
        headers: &str,
        body: &[u8],
    ) -> Result<(u16, Vec<u8>), String> {
        let inside = link.strip_prefix("http://").ok_or_else(|| format!("{link} is not plain HTTP"))?;
        let (host, path) = inside.split_once('/').ok_or_else(|| format!("{link} has no path"))?;
        let mut stream = match self.0.take() {
            Some(stream) => stream,
            None => BufReader::new(TcpStream::connect(host).map_err(|error| format!("{host}: {error}"))?),
        };
        stream.get_ref().set_read_timeout(Some(SILENCE_MAX)).map_err(words)?;
        let length = body.len();
        let head =
            format!("{method} /{path} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: {length}\r\n\r\n");
        stream.get_mut().write_all(&[head.as_bytes(), body].concat()).map_err(words)?;
        let answer = read_answer(&mut stream)?;
        self.0 = Some(stream);
        Ok(answer)
    }
}

fn read_answer(stream: &mut BufReader<TcpStream>) -> Result<(u16, Vec<u8>), String> {
    let mut line = String::new();
    stream.read_line(&mut line).map_err(words)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| format!("no status: {line:?}"))?;
    let (mut length, mut is_chunked) = (0, false);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).map_err(words)?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(words)?;
        }
        is_chunked |= line.starts_with("transfer-encoding:") && line.ends_with("chunked");
    }
    let mut body = Vec::new();
    if !is_chunked {
        body.resize(length, 0);
        stream.read_exact(&mut body).map_err(words)?;
        return Ok((status, body));
    }
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).map_err(words)?;
        let length = usize::from_str_radix(line.trim_end(), 16).map_err(words)?;
        let mut chunk = vec![0; length + 2];
        stream.read_exact(&mut chunk).map_err(words)?;
        body.extend_from_slice(&chunk[..length]);
        if length == 0 {
            return Ok((status, body));
        }
    }
}
