//! As little of an HTTP/1.1 client as shows every byte and every error: the suites judge connections, not requests.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

/// A SYN that a transition drops is sent again after 1, 3, 7 seconds; longer than that is a fault.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// A socket that is bound.
pub(super) fn bound_to(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.bind(address)?;
    Ok(socket)
}

/// A connection.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    chunked: bool,
}

impl Connection {
    /// Opens it, from a port that the kernel chooses.
    pub(super) async fn open(to: SocketAddr) -> Result<Self> {
        let stream = within("connecting", TcpStream::connect(to)).await??;
        Self::over(stream)
    }

    /// Opens it from a socket that is bound already.
    pub(super) async fn open_from(socket: TcpSocket, to: SocketAddr) -> Result<Self> {
        let stream = within("connecting", socket.connect(to)).await??;
        Self::over(stream)
    }

    fn over(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            chunked: false,
        })
    }

    /// This end's port.
    pub(super) fn port(&self) -> Option<u16> {
        self.stream.get_ref().local_addr().ok().map(|a| a.port())
    }

    /// Sends a request; `headers` are whole lines.
    pub(super) async fn ask(&mut self, path: &str, headers: &str) -> Result<()> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: lab\r\n{headers}\r\n");
        within("sending", self.stream.write_all(request.as_bytes())).await??;
        Ok(())
    }

    /// The body of an answer that states its length.
    pub(super) async fn answer(&mut self) -> Result<String> {
        let length = self.head().await?.context("an answer without a length")?;
        self.body(length).await
    }

    /// Reads the head of an endless answer, in chunks.
    pub(super) async fn begin_stream(&mut self) -> Result<()> {
        ensure!(
            self.head().await?.is_none() && self.chunked,
            "the answer to a stream is not in chunks"
        );
        Ok(())
    }

    /// The next chunk of an endless answer.
    pub(super) async fn chunk(&mut self) -> Result<String> {
        let line = self.line().await?;
        let length =
            usize::from_str_radix(&line, 16).with_context(|| format!("chunk length {line:?}"))?;
        ensure!(length > 0, "the stream ended");
        let body = self.body(length).await?;
        ensure!(self.line().await?.is_empty(), "a chunk longer than it says");
        Ok(body)
    }

    async fn head(&mut self) -> Result<Option<usize>> {
        let status = self.line().await?;
        ensure!(status.starts_with("HTTP/1.1 200"), "answered {status:?}");
        let mut length = None;
        loop {
            let line = self.line().await?.to_ascii_lowercase();
            if line.is_empty() {
                return Ok(length);
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = Some(value.trim().parse()?);
            }
            self.chunked |= line.starts_with("transfer-encoding:") && line.ends_with("chunked");
        }
    }

    async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if within("waiting for an answer", self.stream.read_line(&mut line)).await?? == 0 {
            bail!("closed by the server");
        }
        Ok(line.trim_end().to_owned())
    }

    async fn body(&mut self, length: usize) -> Result<String> {
        let mut body = vec![0; length];
        within("waiting for a body", self.stream.read_exact(&mut body)).await??;
        Ok(String::from_utf8(body)?.trim_end().to_owned())
    }
}

async fn within<T>(what: &str, work: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(LIMIT, work)
        .await
        .with_context(|| format!("{what} took more than {} s", LIMIT.as_secs()))
}
