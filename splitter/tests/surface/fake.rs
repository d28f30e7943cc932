//! A daemon of fixed answers behind the real server.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use splitter::api::server::Socket;
use splitter::api::types::{ChangeView, ServiceView, SetWeights};
use splitter::api::{Request, RequestError};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

use super::process::PATIENCE;
use super::views;

/// A change that the daemon was asked for.
pub(super) type Asked = (String, SetWeights);

/// The daemon; gone when dropped.
pub(super) struct Fake {
    folder: TempDir,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    /// Starts it; it answers when this returns.
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut fake = Self {
            folder,
            asked: Arc::default(),
            stop: None,
            thread: None,
        };
        fake.start_again();
        fake
    }

    /// Starts it where it was before.
    pub(super) fn start_again(&mut self) {
        let (path, asked) = (self.socket(), Arc::clone(&self.asked));
        let (stop, stopped) = oneshot::channel();
        let (bound, is_bound) = std::sync::mpsc::channel();
        self.stop = Some(stop);
        self.thread = Some(std::thread::spawn(move || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let socket = Socket::bind(&path).await.expect("the socket");
                bound.send(()).expect("the test waits");
                let (requests, queue) = mpsc::channel(8);
                let server = socket.serve(requests, async {
                    let _ = stopped.await;
                });
                tokio::join!(server, answer(queue, &asked));
            });
        }));
        is_bound.recv_timeout(PATIENCE).expect("the daemon starts");
    }

    /// Stops it.
    pub(super) fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the daemon ends well");
        }
    }

    /// Its socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("run/splitter.sock")
    }

    /// A folder for whatever a test needs.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A connection to it, on which no read or write waits for ever.
    pub(super) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).expect("the daemon listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        stream
    }

    /// The changes it was asked for so far.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn answer(mut queue: mpsc::Receiver<Request>, asked: &Mutex<Vec<Asked>>) {
    let mut looks = 0;
    let mut unanswered = Vec::new();
    while let Some(request) = queue.recv().await {
        // That a client has gone in the meantime is its own affair.
        match request {
            Request::Services(answer) => drop(answer.send(Ok(views::services()))),
            Request::Service(name, answer) if name == "stuck" => unanswered.push(answer),
            Request::Service(name, answer) => {
                looks += u32::from(name == "ramp");
                drop(answer.send(service(&name, looks)));
            }
            Request::Weights(name, set, answer) => {
                asked
                    .lock()
                    .expect("not poisoned")
                    .push((name.clone(), set.clone()));
                drop(answer.send(change(&name, &set)));
            }
            Request::Explain(name, caller, answer) => {
                let view = known(&name).map(|()| views::explain(&name, caller.client, caller.port));
                drop(answer.send(view));
            }
            Request::Flows(name, limit, answer) => {
                drop(answer.send(known(&name).map(|()| views::flows(&name, limit))));
            }
            Request::Routes(name, answer) => {
                drop(answer.send(known(&name).map(|()| views::routes(&name))));
            }
            Request::AddRoute(name, route, answer) => {
                drop(answer.send(known(&name).map(|()| views::routed(&name, &route))));
            }
            Request::RemoveRoute(name, route, answer) => {
                drop(answer.send(known(&name).map(|()| views::unrouted(&name, &route))));
            }
            Request::Stats(answer) => drop(answer.send(Ok(views::stats()))),
        }
    }
}

fn known(name: &str) -> Result<(), RequestError> {
    match name {
        "web" | "dns" | "ramp" => Ok(()),
        _ => Err(RequestError::NotFound(format!(
            "there is no service `{name}`; there are: web, dns"
        ))),
    }
}

/// `web` is in transition for ever; `ramp` settles at the third look; `dns` is at rest.
fn service(name: &str, looks: u32) -> Result<ServiceView, RequestError> {
    known(name)?;
    let mut view = match name {
        "dns" => views::dns(),
        _ => views::web(),
    };
    if name == "ramp" {
        view.name = "ramp".into();
        if looks >= 3 {
            view.transition = None;
        }
    }
    Ok(view)
}

fn change(name: &str, set: &SetWeights) -> Result<ChangeView, RequestError> {
    match name {
        "held" => {
            return Err(RequestError::Refused(
                "`held` is held as things stand".into(),
            ));
        }
        "broken" => return Err(RequestError::Failed("the map cannot be written".into())),
        _ => known(name)?,
    }
    let versions = views::web().versions;
    for version in set.weights.keys() {
        if !versions.iter().any(|v| v.name == *version) {
            return Err(RequestError::Invalid(format!(
                "found version \"{version}\", expected one of blue, green"
            )));
        }
    }
    Ok(views::change(name, set))
}
