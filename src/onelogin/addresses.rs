//! The last addresses of OneLogin that a name server returned. If no name server answers, a login uses them, and TLS
//! proves that OneLogin is there. A failure at them is never an outage (rule R19).

use crate::api::{ApiError, Reply};
use crate::config::Config;
use crate::digest;
use crate::login::Deadline;
use crate::onelogin::http::{Call, Caller, Transport};
use crate::onelogin::token::TOKEN_PATH;
use crate::outage::Miss;
use crate::state::State;
use std::net::IpAddr;

/// A transport that stores the addresses, and falls back on them.
pub struct StoredAddresses<'a> {
    transport: &'a mut dyn Transport,
    state: &'a State,
    /// The file of this host, or of the proxy.
    name: String,
}

impl<'a> StoredAddresses<'a> {
    /// Around a transport.
    #[must_use]
    pub fn new(config: &Config, state: &'a State, transport: &'a mut dyn Transport) -> Self {
        let origin = &config.onelogin.origin;
        let proxy = config.onelogin.http_proxy.as_ref();
        let host = proxy.map_or(origin.host(), |proxy| proxy.host.as_str());
        Self {
            transport,
            state,
            name: format!("addresses-{}", digest::name(&[host])),
        }
    }

    /// Does something; if no name server answered, once more with the stored addresses. Nothing can have been sent
    /// before.
    fn reach<T>(
        &mut self,
        mut act: impl FnMut(&mut dyn Transport) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let error = match act(self.transport) {
            Err(error) if error.miss == Some(Miss::NameServer) => error,
            other => return other,
        };
        let stored = self.stored();
        if stored.is_empty() {
            return Err(error);
        }
        self.transport.fall_back(stored);
        act(self.transport)
    }

    fn stored(&self) -> Vec<IpAddr> {
        let content = self.state.read(&self.name);
        let content = content.map_or_else(
            |_| String::new(),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        );
        content
            .lines()
            .filter_map(|line| line.parse().ok())
            .collect()
    }

    /// Once for each token, so that a warm login writes nothing; for a gateway, with each list of devices, which is not
    /// asked for in a warm login.
    fn store(&self) {
        let addresses: Vec<String> = self
            .transport
            .addresses()
            .iter()
            .map(ToString::to_string)
            .collect();
        if !addresses.is_empty() {
            // Without them a login ends where there is no name server, as it did before.
            let _ = self
                .state
                .write(&self.name, addresses.join("\n").as_bytes());
        }
    }
}

impl Transport for StoredAddresses<'_> {
    fn prepare(&mut self, deadline: Deadline) -> Result<(), ApiError> {
        self.reach(|transport| transport.prepare(deadline))
    }

    fn refresh(&mut self, deadline: Deadline) -> Result<(), ApiError> {
        self.reach(|transport| transport.refresh(deadline))
    }

    fn send(&mut self, call: &Call<'_>, deadline: Deadline) -> Result<Reply, ApiError> {
        let reply = self.reach(|transport| transport.send(call, deadline))?;
        let is_rare = match call.caller {
            Caller::Certificate => call.path.ends_with("devices"),
            Caller::Bearer(_) | Caller::Client { .. } => call.path == TOKEN_PATH,
        };
        if is_rare && reply.status == 200 {
            self.store();
        }
        Ok(reply)
    }

    fn disconnect(&mut self) {
        self.transport.disconnect();
    }

    fn remark(&self) -> Option<String> {
        self.transport.remark()
    }
}
