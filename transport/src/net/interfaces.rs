//! Which addresses of this machine are worth offering as ICE candidates.

use std::net::{IpAddr, Ipv6Addr};

/// The addresses of the named interfaces; without names, of all but the loopback ones, unless there are no others.
/// Link-local addresses are left out: they mean nothing without their interface (RFC 8445, section 5.1.1.1).
pub fn local_addresses(names: &[String]) -> Vec<IpAddr> {
    let interfaces = match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces,
        Err(why) => {
            tracing::error!("the machine's network interfaces cannot be listed: {why}");
            return Vec::new();
        }
    };
    let usable: Vec<_> = interfaces.into_iter().filter(|interface| !is_link_local(interface.ip())).collect();
    if !names.is_empty() {
        return usable.iter().filter(|i| names.contains(&i.name)).map(|i| i.ip()).collect();
    }
    let (loopback, others): (Vec<_>, Vec<_>) = usable.iter().map(|i| i.ip()).partition(IpAddr::is_loopback);
    if others.is_empty() { loopback } else { others }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => is_unicast_link_local(ip),
    }
}

fn is_unicast_link_local(ip: Ipv6Addr) -> bool {
    ip.segments()[0] & 0xffc0 == 0xfe80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_offered_when_named() {
        assert!(local_addresses(&["lo".to_owned()]).iter().all(IpAddr::is_loopback));
        assert!(!local_addresses(&["lo".to_owned()]).is_empty());
        assert!(local_addresses(&["no such interface".to_owned()]).is_empty());
        assert!(!local_addresses(&[]).is_empty(), "there is always something to offer");
    }
}
