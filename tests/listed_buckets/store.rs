//! Stores in this process that list page by page, as S3 and Azure do. The signature of each request is checked by the second
//! implementation of `buckets.rs`.

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use crate::buckets::{SECRET, checked};

/// An object of a store: its key and its size.
pub(crate) type Object = (String, u64);

/// How a store answers a request: its number from 1, and the request.
pub(crate) type Script = Box<dyn Fn(usize, &Asked) -> Reply + Send + Sync>;

/// A request for a page or an object.
pub(crate) struct Asked {
    /// With the host.
    pub(crate) link: String,
    pub(crate) path: String,
    pairs: Vec<(String, String)>,
    /// In lower case, with their values as they are.
    headers: Vec<(String, String)>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    fn from(&self, token: &str) -> usize {
        self.value(token).map_or(0, |token| token.strip_prefix("from/+=").unwrap().parse().unwrap())
    }
}

pub(crate) enum Reply {
    Page(String),
    /// An object: its status, its ETag, how many bytes it announces, and those that come before the connection is closed.
    Object(u16, &'static str, usize, Vec<u8>),
    /// With further lines of the head.
    Status(u16, &'static str, &'static str),
    /// The connection is closed.
    Nothing,
    /// No answer.
    Late,
}

pub(crate) struct Store {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Store {
    pub(crate) fn start(script: impl Fn(usize, &Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let store = Self { url: format!("http://{host}"), asked: Arc::default() };
        let (asked, script): (_, Arc<Script>) = (Arc::clone(&store.asked), Arc::new(Box::new(script)));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (asked, host, script) = (Arc::clone(&asked), host.clone(), Arc::clone(&script));
                std::thread::spawn(move || serve(&stream, &host, &asked, &script));
            }
        });
        store
    }

    /// A bucket `archive` of S3 with these objects, listed in pages of this size.
    pub(crate) fn of_s3(objects: Vec<Object>, size: usize) -> Self {
        Self::start(move |_, asked| {
            checked(&asked.link, SECRET);
            Reply::Page(page_of_s3(&objects, size, asked))
        })
    }

    pub(crate) fn requests(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn serve(stream: &TcpStream, host: &str, asked: &Mutex<Vec<String>>, script: &Script) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        let mut headers = Vec::new();
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).unwrap_or(0) == 0 {
                return;
            }
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let target = first.split(' ').nth(1).unwrap();
        let number = {
            let mut asked = asked.lock().unwrap();
            asked.push(target.to_owned());
            asked.len()
        };
        let link = format!("http://{host}{target}");
        let url = url::Url::parse(&link).unwrap();
        let (path, pairs) = (url.path().to_owned(), url.query_pairs().into_owned().collect());
        let request = Asked { link, path, pairs, headers };
        let (status, head, body) = match script(number, &request) {
            Reply::Page(page) => (200, "", page),
            Reply::Object(status, etag, length, bytes) => {
                let head = format!("HTTP/1.1 {status} X\r\nETag: {etag}\r\nContent-Length: {length}\r\n\r\n");
                let sent = (&mut &*stream).write_all(&[head.as_bytes(), &bytes].concat());
                if sent.is_err() || bytes.len() < length {
                    return;
                }
                continue;
            }
            Reply::Status(status, head, body) => (status, head, body.to_owned()),
            Reply::Nothing => return,
            Reply::Late => {
                // until the client has gone
                let _ = reader.read_line(&mut String::new());
                return;
            }
        };
        let reply = format!("HTTP/1.1 {status} X\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len());
        if (&mut &*stream).write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}

/// Keys as S3 encodes them in a listing.
fn url_encoded(key: &str) -> String {
    url::form_urlencoded::byte_serialize(key.as_bytes()).collect()
}

/// What XML cannot hold becomes another character, as some stores have it.
fn xml_escaped(text: &str) -> String {
    let text = text.replace('\u{1}', "\u{fffd}");
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\n', "&#10;")
}

pub(crate) fn with_prefix<'a>(objects: &'a [Object], asked: &Asked) -> Vec<&'a Object> {
    let prefix = asked.value("prefix").unwrap_or_default();
    objects.iter().filter(|(key, _)| key.starts_with(prefix)).collect()
}

pub(crate) fn page_of_s3(objects: &[Object], size: usize, asked: &Asked) -> String {
    assert_eq!((asked.path.as_str(), asked.value("list-type")), ("/archive", Some("2")));
    let from = asked.from("continuation-token");
    let is_encoded = asked.value("encoding-type") == Some("url");
    let all = with_prefix(objects, asked);
    let mut page = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
    );
    if is_encoded {
        page.push_str("<EncodingType>url</EncodingType>");
    }
    for (key, bytes) in all.iter().skip(from).take(size) {
        let key = if is_encoded { url_encoded(key) } else { xml_escaped(key) };
        let _ = write!(
            page,
            "<Contents><Key>{key}</Key><LastModified>2020-01-02T03:04:05.000Z</LastModified><ETag>&quot;e-{bytes}&quot;</ETag>\
             <Size>{bytes}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        );
    }
    let is_truncated = from + size < all.len();
    let _ = write!(page, "<IsTruncated>{is_truncated}</IsTruncated>");
    if is_truncated {
        let _ = write!(page, "<NextContinuationToken>from/+={}</NextContinuationToken>", from + size);
    }
    page + "</ListBucketResult>"
}

pub(crate) fn page_of_azure(objects: &[Object], size: usize, asked: &Asked) -> String {
    let from = asked.from("marker");
    let all = with_prefix(objects, asked);
    let mut page =
        String::from("\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Blobs>");
    for (key, bytes) in all.iter().skip(from).take(size) {
        let _ = write!(
            page,
            "<Blob><Name>{}</Name><Properties><Last-Modified>Wed, 21 Oct 2015 07:28:00 GMT</Last-Modified><Etag>0x1</Etag>\
             <Content-Length>{bytes}</Content-Length></Properties></Blob>",
            xml_escaped(key)
        );
    }
    let next = if from + size < all.len() { format!("from/+={}", from + size) } else { String::new() };
    let _ = write!(page, "</Blobs><NextMarker>{next}</NextMarker></EnumerationResults>");
    page
}

pub(crate) fn objects(keys: &[&str]) -> Vec<Object> {
    keys.iter().map(|key| ((*key).to_owned(), 7)).collect()
}
