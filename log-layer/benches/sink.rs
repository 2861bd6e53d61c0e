//! Where the others' bytes go: a writer that counts, and an HTTP server that accepts everything.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes and records that arrived.
#[derive(Debug, Clone, Default)]
pub struct Arrived {
    pub bytes: Arc<AtomicU64>,
    pub records: Arc<AtomicU64>,
}

impl Arrived {
    pub fn add(&self, bytes: u64, records: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
        self.records.fetch_add(records, Relaxed);
    }
}

/// Lines.
impl Write for Arrived {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add(bytes.len() as u64, 1);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Answers every POST with 204. The thread ends with the process.
pub fn http(arrived: Arrived) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let arrived = arrived.clone();
            std::thread::spawn(move || {
                // The client is gone.
                let _ = serve(stream, &arrived);
            });
        }
    });
    format!("http://{address}")
}

fn serve(stream: TcpStream, arrived: &Arrived) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        arrived.add(length as u64, 0);
        writer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
    }
}
