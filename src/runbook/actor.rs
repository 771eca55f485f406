//! Who is behind a request, as far as their history can be separated from that of others.

use super::timeline::Name;
use crate::aggregate::Record;
use crate::rule::{Class, is_public};

/// Whose history it is: the username, plus the EKS session name if several people share a role, plus address and client
/// if several share a credential.
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

    /// The part of a user's requests whose history is kept separate, and the rest, in words; `None` if it is all of
    /// them.
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

    /// The same actor with any address and client: what is new about these is new to everybody who shares the
    /// credential.
    pub(super) fn everywhere(record: &Record) -> Self {
        Actor { client: None, ..Actor::of(record) }
    }
}

/// Whether the credential belongs to nobody in particular.
pub(super) fn is_shared(record: &Record) -> bool {
    record.principal_class == Class::Shared
}

/// Whether an address is routed on the internet: not private, local or special.
pub(super) fn is_public_address(address: &str) -> bool {
    address.parse().is_ok_and(is_public)
}

/// The program that made a request, by its own account.
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
