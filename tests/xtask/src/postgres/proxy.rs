//! A proxy between telecine and PostgreSQL that knows where each message of the protocol begins and ends, and cuts a connection at
//! any of them, or the whole network.

use std::{
    collections::HashMap,
    io::{BufReader, ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use super::words;

/// How many words of a statement are kept.
const WORDS: usize = 12;

/// Who sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Sender {
    Client,
    Server,
}

/// Where a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    /// The message does not arrive.
    Before,
    /// The message arrives, and nothing after it.
    After,
}

/// What is left of a connection that is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Both ends learn of it.
    Nothing,
    /// The server does not learn of it, and keeps the open transaction.
    Server,
    /// Nobody learns of it: both wait.
    Both,
}

/// Which connections count their messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The one that holds the lease.
    Writer,
    /// All others, which read.
    Reader,
}

/// A cut at one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) role: Role,
    /// The number of the message among those of its role, from 1.
    pub(super) number: usize,
    pub(super) side: Side,
    pub(super) left: Left,
}

/// A message that passed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Message {
    pub(super) sender: Sender,
    pub(super) kind: char,
    /// The statement that it belongs to, as far as it is known.
    pub(super) sql: String,
}

/// Whether the network is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    Up,
    /// Connections end, and new ones are refused.
    Refused,
    /// Nothing arrives, and nothing ends.
    Silent,
}

struct State {
    upstream: u16,
    network: Network,
    cut: Option<Cut>,
    /// The message at which a connection was cut.
    done: Option<Message>,
    writer: Vec<Message>,
    reader: Vec<Message>,
    /// Both ends of each connection.
    open: Vec<(TcpStream, TcpStream)>,
    is_over: bool,
}

pub(super) struct Proxy {
    pub(super) port: u16,
    state: Arc<Mutex<State>>,
    listener: Option<JoinHandle<()>>,
}

impl Proxy {
    pub(super) fn start(upstream: u16) -> Result<Self, String> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(words)?;
        let port = listener.local_addr().map_err(words)?.port();
        let state = Arc::new(Mutex::new(State {
            upstream,
            network: Network::Up,
            cut: None,
            done: None,
            writer: Vec::new(),
            reader: Vec::new(),
            open: Vec::new(),
            is_over: false,
        }));
        let own = Arc::clone(&state);
        let thread = std::thread::spawn(move || accept(&listener, &own));
        Ok(Self { port, state, listener: Some(thread) })
    }

    pub(super) fn cut_at(&self, cut: Cut) {
        lock(&self.state).cut = Some(cut);
    }

    /// The message at which a connection was cut. `None`: that message never came.
    pub(super) fn done(&self) -> Option<Message> {
        lock(&self.state).done.clone()
    }

    /// What passed on connections of a role.
    pub(super) fn messages(&self, role: Role) -> Vec<Message> {
        let state = lock(&self.state);
        if role == Role::Writer { state.writer.clone() } else { state.reader.clone() }
    }

    /// Ends all connections, and leads new ones to another server.
    pub(super) fn lead_to(&self, upstream: u16) {
        lock(&self.state).upstream = upstream;
        self.end_connections();
    }

    /// Takes the network away; connections end, or fall silent.
    pub(super) fn take_network(&self, is_silent: bool) {
        lock(&self.state).network = if is_silent { Network::Silent } else { Network::Refused };
        if !is_silent {
            self.end_connections();
        }
    }

    /// Brings the network back. Connections that fell silent end now.
    pub(super) fn give_network(&self) {
        lock(&self.state).network = Network::Up;
        self.end_connections();
    }

    fn end_connections(&self) {
        for (client, server) in lock(&self.state).open.drain(..) {
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        lock(&self.state).is_over = true;
        self.end_connections();
        // so that the listener wakes up
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.listener.take() {
            let _ = thread.join();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, state: &Arc<Mutex<State>>) {
    for client in listener.incoming() {
        if lock(state).is_over {
            return;
        }
        // a client that went away, or a server that is stopped
        let Ok(client) = client else { continue };
        let _ = connect(client, state);
    }
}

/// What both directions of a connection know.
struct Shared {
    statements: HashMap<String, String>,
    current: String,
    role: Role,
    is_cut: bool,
}

fn connect(client: TcpStream, state: &Arc<Mutex<State>>) -> std::io::Result<()> {
    let (upstream, network) = {
        let state = lock(state);
        (state.upstream, state.network)
    };
    match network {
        Network::Up => {}
        Network::Refused => return Ok(()),
        Network::Silent => {
            let other_end = client.try_clone()?;
            lock(state).open.push((client, other_end));
            return Ok(());
        }
    }
    let server = TcpStream::connect(("127.0.0.1", upstream))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    lock(state).open.push((client.try_clone()?, server.try_clone()?));
    let shared = Arc::new(Mutex::new(Shared {
        statements: HashMap::new(),
        current: String::new(),
        role: Role::Reader,
        is_cut: false,
    }));
    for (sender, from, to) in
        [(Sender::Client, client.try_clone()?, server.try_clone()?), (Sender::Server, server, client)]
    {
        let (state, shared) = (Arc::clone(state), Arc::clone(&shared));
        std::thread::spawn(move || {
            let left = forward(sender, &from, &to, &state, &shared);
            let is_cut = shared.lock().unwrap_or_else(PoisonError::into_inner).is_cut;
            let client = if sender == Sender::Client { &from } else { &to };
            // an end that is closed already
            let _ = match left {
                Ok(Left::Both) => Ok(()),
                Ok(Left::Server) => client.shutdown(Shutdown::Both),
                // what was left open at a cut stays open
                Err(_) if is_cut => Ok(()),
                Ok(Left::Nothing) | Err(_) => from.shutdown(Shutdown::Both).and(to.shutdown(Shutdown::Both)),
            };
        });
    }
    Ok(())
}

/// Passes messages on until the connection ends or is cut.
fn forward(
    sender: Sender,
    from: &TcpStream,
    mut to: &TcpStream,
    state: &Mutex<State>,
    shared: &Mutex<Shared>,
) -> std::io::Result<Left> {
    let mut from = BufReader::new(from);
    // the first message of a client has no kind
    let mut is_first = sender == Sender::Client;
    loop {
        let frame = read_frame(&mut from, is_first)?;
        let kind = if is_first { ' ' } else { char::from(frame[0]) };
        is_first = false;
        let mut own = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let (message, cut) = note(sender, kind, &frame, state, &mut own);
        if own.is_cut {
            return Ok(Left::Both);
        }
        own.is_cut = cut.is_some();
        drop(own);
        let is_silent = lock(state).network == Network::Silent;
        match cut {
            Some(cut) => {
                lock(state).done = Some(message);
                if cut.side == Side::After {
                    to.write_all(&frame)?;
                }
                return Ok(cut.left);
            }
            None if is_silent => {}
            None => to.write_all(&frame)?,
        }
    }
}

/// Takes note of a message, and says whether the connection is cut at it.
fn note(
    sender: Sender,
    kind: char,
    frame: &[u8],
    state: &Mutex<State>,
    own: &mut Shared,
) -> (Message, Option<Cut>) {
    if sender == Sender::Client {
        let mut texts = frame.get(5..).unwrap_or_default().split(|byte| *byte == 0);
        let mut text = || String::from_utf8_lossy(texts.next().unwrap_or_default()).into_owned();
        match kind {
            'Q' => own.current = text(),
            'P' => {
                let (name, sql) = (text(), text());
                own.current.clone_from(&sql);
                own.statements.insert(name, sql);
            }
            'B' => {
                let (_portal, name) = (text(), text());
                own.current = own.statements.get(&name).cloned().unwrap_or_default();
            }
            _ => {}
        }
        if own.current.contains("UPDATE lease SET holder = gen_random_uuid()") {
            own.role = Role::Writer;
        }
    }
    let begin: Vec<&str> = own.current.split_whitespace().take(WORDS).collect();
    let message = Message { sender, kind, sql: begin.join(" ") };
    let mut state = lock(state);
    let passed = if own.role == Role::Writer { &mut state.writer } else { &mut state.reader };
    passed.push(message.clone());
    let number = passed.len();
    let cut = state.cut.filter(|cut| cut.role == own.role && cut.number == number && state.done.is_none());
    (message, cut)
}

fn read_frame(from: &mut impl Read, is_first: bool) -> std::io::Result<Vec<u8>> {
    let head = if is_first { 4 } else { 5 };
    let mut frame = vec![0; head];
    from.read_exact(&mut frame)?;
    let length: [u8; 4] = frame[head - 4..].try_into().map_err(|_| ErrorKind::InvalidData)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(0);
    if !(4..1 << 28).contains(&length) {
        return Err(ErrorKind::InvalidData.into());
    }
    frame.resize(head + length - 4, 0);
    from.read_exact(&mut frame[head..])?;
    Ok(frame)
}
