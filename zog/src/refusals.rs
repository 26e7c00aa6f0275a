//! Why connections are not let in, or not kept, and how often: in one place, to be told and to be shown.

/// What a connection is refused for. Metrics name it by [`Refused::word`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// To the ring port, from an address where no host of the ring is.
    Address,
    /// To the ring port, where too many from that address have not said `HELLO`: the oldest gives way.
    Handshakes,
    /// To the ring port, where as many from that address are links as can be.
    Links,
    /// A client where there are as many as may be.
    Clients,
    /// A client from an address that has as many as it may have.
    ClientsOfAddress,
    /// A client that knows no token.
    Token,
    /// A client that speaks no TLS where it has to …
    Plain,
    /// … that speaks it where it may not …
    Tls,
    /// … that breaks its rules …
    BrokenTls,
    /// … or whose handshake has given way to others.
    TlsHandshakes,
}

impl Refused {
    /// All of them.
    pub(crate) const ALL: [Refused; 10] = [
        Refused::Address,
        Refused::Handshakes,
        Refused::Links,
        Refused::Clients,
        Refused::ClientsOfAddress,
        Refused::Token,
        Refused::Plain,
        Refused::Tls,
        Refused::BrokenTls,
        Refused::TlsHandshakes,
    ];

    /// One word, for counters.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Refused::Address => "address",
            Refused::Handshakes => "handshakes",
            Refused::Links => "links",
            Refused::Clients => "clients",
            Refused::ClientsOfAddress => "clients_per_address",
            Refused::Token => "token",
            Refused::Plain => "plain",
            Refused::Tls => "tls",
            Refused::BrokenTls => "broken_tls",
            Refused::TlsHandshakes => "tls_handshakes",
        }
    }

    /// For error.log, and why it is so.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Refused::Address => "this address is not of this ring (`peers` in ring.toml)",
            Refused::Handshakes => "too many connections from this address have not said HELLO",
            Refused::Links => "too many links from this address",
            Refused::Clients => "too many clients (`limits.clients` in ring.toml, or `ulimit -n`)",
            Refused::ClientsOfAddress => {
                "too many clients from this address (`limits.clients_per_address` in ring.toml)"
            }
            Refused::Token => "it does not know a token (`tokens` in ring.toml)",
            Refused::Plain => "it speaks no TLS (`tls_clients` in ring.toml)",
            Refused::Tls => "it speaks TLS, which is off for clients (`tls_clients` in ring.toml)",
            Refused::BrokenTls => "it cannot be spoken with in TLS",
            Refused::TlsHandshakes => {
                "too many clients from this address, or in all, have begun TLS and not gone on"
            }
        }
    }

    /// What whoever is refused is told; nothing where TLS has its own way to say it.
    pub(crate) fn answer(self) -> &'static [u8] {
        match self {
            Refused::Address => b"ERR 504 your address is not of this ring\r\n",
            Refused::Handshakes => b"ERR 300 too many connections that have not said HELLO\r\n",
            Refused::Links => b"ERR 300 too many links from your address\r\n",
            Refused::Clients => b"ERR 300 too many clients\r\n",
            Refused::ClientsOfAddress => b"ERR 300 too many clients from your address\r\n",
            Refused::Token => b"ERR 401 say AUTH and a token that is known here\r\n",
            Refused::Plain => b"ERR 502 clients speak TLS with this host: tls_clients = \"required\"\r\n",
            Refused::Tls => b"ERR 502 clients speak no TLS with this host: tls_clients = \"off\"\r\n",
            Refused::BrokenTls | Refused::TlsHandshakes => b"",
        }
    }
}

/// How often since the start.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Refusals {
    counts: [u64; Refused::ALL.len()],
}

impl Refusals {
    /// One more.
    pub(crate) fn count(&mut self, refused: Refused) {
        self.counts[refused as usize] += 1;
    }

    /// How often, by word.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Refused::ALL.into_iter().map(|refused| (refused.word(), self.counts[refused as usize]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_under_its_word() {
        let mut refusals = Refusals::default();
        for (n, refused) in Refused::ALL.into_iter().enumerate() {
            (0..=n).for_each(|_| refusals.count(refused));
        }
        let counted: Vec<_> = refusals.each().collect();
        assert_eq!(counted[0], ("address", 1));
        assert_eq!(counted[9], ("tls_handshakes", 10));
    }
}
