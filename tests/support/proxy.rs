//! A proxy in a thread: HTTP `CONNECT` or SOCKS 5. Every tunnel leads to one port of this machine, whatever name is asked for.
#![allow(unreachable_pub, clippy::unwrap_used, missing_docs, reason = "this is a test")]

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

#[derive(Clone, Copy)]
pub enum Kind {
    Http,
    Socks,
}

/// What the user `agent` with the password `canary+7` sends.
const AUTHORIZATION: &str = "Basic YWdlbnQ6Y2FuYXJ5Kzc=";
const SOCKS_LOGIN: &[u8] = b"\x01\x05agent\x08canary+7";

pub struct Proxy {
    pub port: u16,
    tunnels: Arc<AtomicUsize>,
}

impl Proxy {
    pub fn start(kind: Kind, target: u16, asks_for_login: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let tunnels = Arc::new(AtomicUsize::new(0));
        let proxy = Self { port, tunnels: Arc::clone(&tunnels) };
        std::thread::spawn(move || {
            for mut client in listener.incoming().map_while(Result::ok) {
                let tunnels = Arc::clone(&tunnels);
                std::thread::spawn(move || {
                    let is_open = match kind {
                        Kind::Http => connect(&mut client, asks_for_login),
                        Kind::Socks => socks(&mut client, asks_for_login),
                    };
                    if is_open.unwrap_or(false) {
                        tunnels.fetch_add(1, Ordering::Relaxed);
                        tunnel(&client, target);
                    }
                });
            }
        });
        proxy
    }

    pub fn tunnels(&self) -> usize {
        self.tunnels.load(Ordering::Relaxed)
    }
}

/// Passes connections to a port on to another one.
pub fn forward(port: u16, target: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || tunnel(&client, target));
        }
    });
}

fn connect(client: &mut TcpStream, asks_for_login: bool) -> io::Result<bool> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte)? == 0 {
            return Ok(false);
        }
        head.push(byte[0]);
        // not HTTP: answer as a server does that understands nothing
        if head[0] < b'A' {
            client.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")?;
            client.shutdown(Shutdown::Write)?;
            // a closed connection with bytes that nobody read would take the answer away
            io::copy(client, &mut io::sink())?;
            return Ok(false);
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    if asks_for_login && !head.contains(AUTHORIZATION) {
        let refusal =
            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n";
        client.write_all(format!("{refusal}Content-Length: 0\r\n\r\n").as_bytes())?;
        return Ok(false);
    }
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    Ok(true)
}

fn socks(client: &mut TcpStream, asks_for_login: bool) -> io::Result<bool> {
    let methods = {
        let mut head = [0; 2];
        client.read_exact(&mut head)?;
        let mut methods = vec![0; usize::from(head[1])];
        client.read_exact(&mut methods)?;
        methods
    };
    if asks_for_login {
        if !methods.contains(&2) {
            client.write_all(&[5, 0xff])?;
            return Ok(false);
        }
        client.write_all(&[5, 2])?;
        let mut login = [0; 64];
        let length = client.read(&mut login)?;
        let is_right = &login[..length] == SOCKS_LOGIN;
        client.write_all(&[1, u8::from(!is_right)])?;
        if !is_right {
            return Ok(false);
        }
    } else {
        client.write_all(&[5, 0])?;
    }
    let mut target = [0; 300];
    let _ = client.read(&mut target)?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    Ok(true)
}

fn tunnel(client: &TcpStream, target: u16) {
    let server = TcpStream::connect(("127.0.0.1", target)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| pass(client, &server));
        pass(&server, client);
    });
}

fn pass(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
