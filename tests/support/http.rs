//! A small HTTP server and client of the tests' own: threads and blocking sockets.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as it came in, or an answer.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// `GET /x HTTP/1.1` or `HTTP/1.1 200 OK`.
    pub first_line: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Message {
    pub fn read(reader: &mut impl BufRead) -> io::Result<Message> {
        let mut message = Message::default();
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        message.first_line = line.trim_end().to_owned();
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            message.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = message.headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        message.body = String::from_utf8_lossy(&body).into_owned();
        Ok(message)
    }

    pub fn status(&self) -> u16 {
        self.first_line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.body))
    }
}

/// A server that ends with the test's process.
pub struct Server {
    pub address: SocketAddr,
    pub connections: Arc<AtomicU64>,
    pub seen: Arc<Mutex<Vec<Message>>>,
}

impl Server {
    /// Answers with status and body.
    pub fn start(answer: impl Fn(&Message) -> (u16, String) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicU64::new(0));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, counted, noted) = (Arc::new(answer), connections.clone(), seen.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::Relaxed);
                let (answer, noted) = (answer.clone(), noted.clone());
                std::thread::spawn(move || serve(stream, &*answer, &noted));
            }
        });
        Server { address, connections, seen }
    }

    /// Answers everything with 200.
    pub fn fine() -> Server {
        Server::start(|_| (200, "fine".to_owned()))
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests had this first line's beginning.
    pub fn count(&self, beginning: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|m| m.first_line.starts_with(beginning)).count()
    }
}

fn serve(
    stream: TcpStream,
    answer: &(impl Fn(&Message) -> (u16, String) + ?Sized),
    seen: &Mutex<Vec<Message>>,
) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    while let Ok(message) = Message::read(&mut reader) {
        let (status, body) = answer(&message);
        seen.lock().unwrap().push(message);
        let length = body.len();
        write!(writer, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}").ok()?;
    }
    Some(())
}

/// One keep-alive connection.
pub struct Connection {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Connection {
    /// `patience` holds for connecting, and for each answer.
    pub fn open(address: SocketAddr, patience: Duration) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_nodelay(true)?;
        Ok(Connection { reader: BufReader::new(stream.try_clone()?), stream })
    }

    pub fn ask(&mut self, method: &str, path: &str, body: &str) -> io::Result<Message> {
        let length = body.len();
        let text =
            format!("{method} {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n{body}");
        self.stream.write_all(text.as_bytes())?;
        Message::read(&mut self.reader)
    }
}

/// One request over a new connection.
pub fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> io::Result<Message> {
    Connection::open(address, Duration::from_secs(2))?.ask(method, path, body)
}
