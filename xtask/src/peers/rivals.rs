//! Other programs that check mail relays, with which `smtp-relay-check` is compared.

use super::Peer;

pub(super) const DEBIAN: &[Peer] = &[
    Peer {
        program: "/usr/lib/nagios/plugins/check_smtp",
        packages: &["monitoring-plugins-basic"],
        used_for: "check_smtp",
    },
    Peer {
        program: "prometheus-blackbox-exporter",
        packages: &["prometheus-blackbox-exporter"],
        used_for: "blackbox_exporter",
    },
    Peer {
        program: "swaks",
        packages: &["swaks"],
        used_for: "swaks",
    },
    // Without it swaks speaks no TLS.
    Peer {
        program: "/usr/share/doc/libnet-ssleay-perl",
        packages: &["libnet-ssleay-perl"],
        used_for: "swaks over TLS",
    },
];
