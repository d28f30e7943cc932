//! The kernel's word that something changed in the network, so that nobody has to wait for the next look.

use rtnetlink::constants::{
    RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE, RTMGRP_LINK,
    RTMGRP_NEIGH,
};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket};

use super::NetError;

const GROUPS: u32 = RTMGRP_LINK
    | RTMGRP_NEIGH
    | RTMGRP_IPV4_IFADDR
    | RTMGRP_IPV6_IFADDR
    | RTMGRP_IPV4_ROUTE
    | RTMGRP_IPV6_ROUTE;

/// A subscription to changes of links, addresses, routes and neighbours.
pub struct News {
    socket: TokioSocket,
    buffer: Vec<u8>,
}

impl News {
    /// Subscribes, in the network namespace of the calling thread. Must be called within a tokio runtime.
    pub fn subscribe() -> Result<Self, NetError> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        // Where there is more than the queue holds, what is left of it says enough: that there is news.
        socket.socket_ref().set_no_enobufs(true)?;
        socket.socket_mut().bind(&SocketAddr::new(0, GROUPS))?;
        Ok(Self {
            socket,
            buffer: Vec::with_capacity(4096),
        })
    }

    /// Completes when something changed since the last call, or since the subscription. What it was is not read: a look
    /// finds out, and what is cut off or lost does not matter then. Nothing is lost where the call is given up.
    pub async fn wait(&mut self) -> Result<(), NetError> {
        self.buffer.clear();
        Ok(self.socket.recv(&mut self.buffer).await?)
    }

    /// Takes in what has come until now: the look that follows will see it.
    pub fn catch_up(&mut self) {
        loop {
            self.buffer.clear();
            // The socket does not block; whatever else is wrong with it, `wait` will say.
            if self.socket.socket_ref().recv(&mut self.buffer, 0).is_err() {
                return;
            }
        }
    }
}
