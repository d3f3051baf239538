use proptest::prelude::*;

use super::*;

fn hop(text: &str) -> Hop {
    Hop::read(text)
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

/// The microseconds of a short queue id stand for what follows the date's second.
#[test]
fn postfix_is_read_with_its_login_and_tls() {
    let h = hop(
        "from [127.0.0.1] (unknown [127.0.0.1]) (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature ECDSA (P-256) server-digest SHA256) (No client certificate requested) (Authenticated sender: watcher) by relay.example (Postfix) with ESMTPSA id 1A2B3C4D5E for <canary@mail.example>; Sun, 22 Nov 2026 04:21:27 +0000 (UTC)",
    );
    assert_eq!(h.by.as_deref(), Some("relay.example"));
    assert_eq!(h.from.as_deref(), Some("[127.0.0.1]"));
    assert_eq!(h.client, ip("127.0.0.1"));
    assert_eq!(h.with.as_deref(), Some("ESMTPSA"));
    assert_eq!(h.id.as_deref(), Some("1A2B3C4D5E"));
    assert!(h.tls && h.auth && h.is_exact);
    let at: Timestamp = "2026-11-22T04:21:27.107187Z".parse().unwrap();
    assert_eq!(h.at, Some(at));
}

#[test]
fn a_long_queue_id_has_the_whole_time() {
    // Seconds 4jWKZS, as `postqueue -j` showed for this id: 1795189888.
    assert_eq!(long_id("4jWKZS0000zabc"), Some(1_795_189_888_000_000));
    assert_eq!(long_id("4jWKZS0001zabc"), Some(1_795_189_888_000_001));
    // A `z` may be in the time as well; the last one divides.
    assert!(long_id("4jWKZz000zzabc").is_some());
    for no in ["", "z", "4jWKZS", "4jWKZSzzzzzabc", "AAAAAA0000zabc"] {
        assert_eq!(long_id(no), None, "{no}");
    }
    let h = hop("by a.example with SMTP id 4jWKZS0001zabc; Fri, 20 Nov 2026 15:51:28 +0000");
    assert!(h.is_exact);
    assert_eq!(h.at.unwrap().as_microsecond(), 1_795_189_888_000_001);
    // One that is of another time is an id of another kind.
    let h = hop("by a.example with SMTP id 4jWKZS0001zabc; Sun, 22 Nov 2026 04:21:27 +0000");
    assert!(!h.is_exact);
    assert_eq!(h.at.unwrap().as_second(), 1_795_321_287);
}

#[test]
fn other_servers_are_read_too() {
    let exim = hop(
        "from [192.0.2.7] (helo=pod-1) by mx.example with esmtpsa (TLS1.3) tls TLS_AES_256_GCM_SHA384 (Exim 4.96) (envelope-from <a@b>) id 1uXyz0-0001Ab-2C for c@d; Sun, 22 Nov 2026 05:21:27 +0100",
    );
    assert_eq!(exim.client, ip("192.0.2.7"));
    assert_eq!(exim.by.as_deref(), Some("mx.example"));
    assert_eq!(exim.id.as_deref(), Some("1uXyz0-0001Ab-2C"));
    assert!(exim.tls && exim.auth && !exim.is_exact);
    assert_eq!(exim.at.unwrap().as_second(), 1_795_321_287);
    let qmail = hop(
        "from unknown (HELO h) (2001:db8::1) by mx.example with SMTP; 22 Nov 2026 04:21:27 -0000",
    );
    assert_eq!(qmail.client, ip("2001:db8::1"));
    assert!(!qmail.tls && !qmail.auth);
    let lmtp = hop(
        "from relay.example ([IPv6:2001:db8::2]) by box (Dovecot) with LMTPS id abc (envelope-from <>); Sun, 22 Nov 2026 04:21:27 GMT",
    );
    assert_eq!(lmtp.with.as_deref(), Some("LMTPS"));
    assert!(lmtp.tls);
    assert_eq!(lmtp.client, ip("2001:db8::2"));
    let v6 = hop("from h (h [IPv6:2001:db8::3]) by x; garbage");
    assert_eq!((v6.client, v6.at), (ip("2001:db8::3"), None));
    // IPv4 in an IPv6 socket is the same client.
    assert_eq!(hop("from h (h [::ffff:10.0.0.9])").client, ip("10.0.0.9"));
    // The wrong day of the week is no reason to know no time.
    assert!(hop("by x; Mon, 22 Nov 2026 04:21:27 +0000").at.is_some());
}

#[test]
fn a_comment_may_nest_or_not_end() {
    let h = hop("from a (b (c \\) by x (d)) [1.2.3.4]) by y (z");
    assert_eq!(h.by.as_deref(), Some("y"));
    assert_eq!(h.client, ip("1.2.3.4"));
    assert_eq!(hop("from (((").from, None);
    assert_eq!(hop(""), Hop::default());
}

#[test]
fn the_way_begins_at_the_first_server() {
    let mail = b"Received: by b with SMTP id 000AB12345; Sun, 22 Nov 2026 04:21:27 +0000\n\
                 Received: by a with SMTP id F000012345; Sun, 22 Nov 2026 04:21:27 +0000\n\n";
    let hops = way(&Head::read(mail));
    assert_eq!(hops[0].by.as_deref(), Some("a"));
    // The second one's queue file is of the second after its date.
    let delay = hops[1]
        .at
        .unwrap()
        .duration_since(hops[0].at.unwrap())
        .as_millis();
    assert_eq!(delay, 17);
    let many = b"Received: by a\n".repeat(5000);
    assert_eq!(way(&Head::read(&many)).len(), MOST);
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "\\PC{0,200}") {
        let _ = hop(&text);
    }

    #[test]
    fn pieces_in_any_order_are_read_without_panic(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "from", "by", "with", "id", "for", "via", "(", ")", "[1.2.3.4]", "[IPv6:::1]", "\\", ";",
                "ESMTPSA", "UTF8LMTPA", "4jWKZS0001zabc", "1A2B3C4D5E", "Sun, 22 Nov 2026 04:21:27 +0000",
                "\u{1F600}", "99999999999999999999z",
            ]),
            0..40,
        )
    ) {
        let _ = hop(&parts.join(" "));
        let _ = hop(&parts.concat());
    }
}
