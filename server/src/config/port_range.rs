//! The media ports of the service, as `ADDRESS:FIRST-LAST`.

use std::net::{IpAddr, SocketAddr};

/// The address and ports that RTP and RTCP use, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PortRange {
    /// The address the sockets are bound to; it stands in every SDP.
    pub address: IpAddr,
    /// First port; even.
    pub first: u16,
    /// Last port; odd.
    pub last: u16,
}

impl PortRange {
    /// Pairs of RTP (even) and RTCP (odd) ports in the range.
    pub(crate) fn pairs(&self) -> usize {
        usize::from(self.last.saturating_sub(self.first)).div_ceil(2)
    }

    /// Reads `ADDRESS:FIRST-LAST`. An odd first or an even last port is left out.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the text.
    pub(crate) fn parse(text: &str) -> Result<PortRange, &'static str> {
        let (address, ports) = text
            .rsplit_once(':')
            .ok_or("it has no colon between address and ports")?;
        let address = address.trim_start_matches('[').trim_end_matches(']');
        let address: IpAddr = address
            .parse()
            .map_err(|_| "its address is no IP address")?;
        if address.is_unspecified() || address.is_multicast() {
            return Err("its address cannot stand in an SDP");
        }
        let (first, last) = ports
            .split_once('-')
            .ok_or("its ports have no dash between first and last")?;
        let first: u16 = first
            .parse()
            .map_err(|_| "its first port is no port number")?;
        let last: u16 = last
            .parse()
            .map_err(|_| "its last port is no port number")?;
        if first < 1024 {
            return Err("its first port is below 1024");
        }
        let range = PortRange {
            address,
            first: first + first % 2,
            last: if last.is_multiple_of(2) {
                last - 1
            } else {
                last
            },
        };
        if range.pairs() < 2 {
            return Err(
                "it holds fewer than two pairs of an even and the following odd port, which one call needs",
            );
        }
        Ok(range)
    }
}

impl std::fmt::Display for PortRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let address = SocketAddr::new(self.address, self.first);
        write!(f, "{address}-{}", self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_counts_whole_pairs_from_an_even_port() {
        let range = PortRange::parse("127.0.0.1:20001-20010").unwrap();
        assert_eq!(
            (range.first, range.last, range.pairs()),
            (20_002, 20_009, 4)
        );
        assert_eq!(range.to_string(), "127.0.0.1:20002-20009");
    }

    #[test]
    fn a_range_that_no_socket_can_serve_is_refused_with_its_reason() {
        for (text, why) in [
            ("20000-29999", "it has no colon between address and ports"),
            ("0.0.0.0:20000-29999", "its address cannot stand in an SDP"),
            (
                "127.0.0.1:20000",
                "its ports have no dash between first and last",
            ),
            ("127.0.0.1:80-90", "its first port is below 1024"),
            (
                "127.0.0.1:20001-20002",
                "it holds fewer than two pairs of an even and the following odd port, which one call needs",
            ),
            (
                "127.0.0.1:20001-20004",
                "it holds fewer than two pairs of an even and the following odd port, which one call needs",
            ),
        ] {
            assert_eq!(PortRange::parse(text), Err(why), "{text}");
        }
    }
}
