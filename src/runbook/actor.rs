//! Who is behind a request, as far as its history can be told from that of others.

use super::timeline::Name;
use crate::aggregate::Record;
use crate::rule::{Class, is_public};

/// A key of history: the username as upstream says, split by EKS session name where several people share a role, and
/// by address and client where they share a credential.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Actor {
    cluster: Name,
    username: Name,
    session: Option<String>,
    client: Option<(Name, Name)>,
}

impl Actor {
    pub(super) fn of(record: &Record) -> Self {
        let client = || (record.trusted_ip.clone(), record.user_agent.clone());
        Actor {
            cluster: record.cluster.clone(),
            username: record.username.clone(),
            session: record.actor.as_ref().and_then(|actor| actor.session.clone()),
            client: is_shared(record).then(client),
        }
    }

    /// The part of a user's requests whose history is told from that of the others, in words; `None` where it is all.
    pub(super) fn part(&self) -> Option<(String, &'static str)> {
        match (&self.session, &self.client) {
            (Some(session), _) => Some((format!("session {session} of this user"), "other sessions")),
            (None, Some(_)) => Some(("this user from this address and client".to_owned(), "from others")),
            (None, None) => None,
        }
    }

    /// Cluster and username.
    pub(super) fn user(&self) -> (Name, Name) {
        (self.cluster.clone(), self.username.clone())
    }

    /// The same whatever address and client: what is new about these is new to all who share a credential.
    pub(super) fn everywhere(record: &Record) -> Self {
        Actor { client: None, ..Actor::of(record) }
    }
}

/// Whether nobody in particular stands behind a credential.
pub(super) fn is_shared(record: &Record) -> bool {
    record.principal_class == Class::Shared
}

/// Whether an address is one of the internet: no private, local or special one.
pub(super) fn is_public_address(address: &str) -> bool {
    address.parse().is_ok_and(is_public)
}

/// The program that made a request, as it calls itself.
pub(super) fn tool(user_agent: Option<&str>) -> Option<&str> {
    user_agent.map(|agent| agent.split(['/', ' ']).next().unwrap_or_default()).filter(|tool| !tool.is_empty())
}

/// The /24 of an IPv4 address, the /48 of an IPv6 one.
pub(super) fn network(address: Option<&str>) -> Option<String> {
    match address?.parse().ok()? {
        std::net::IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            Some(format!("{a}.{b}.{c}.0/24"))
        }
        std::net::IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            Some(format!("{a:x}:{b:x}:{c:x}::/48"))
        }
    }
}
