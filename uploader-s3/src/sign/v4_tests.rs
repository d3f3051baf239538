//! AWS's published test vectors and the examples of S3's documentation.
//!
//! Left out of the vectors are those whose path is normalised or encoded twice: S3 does
//! neither, and so do we not.

use notifier_core::Secret;

use super::*;
use crate::key::PathStyle;

struct Vector {
    name: &'static str,
    method: &'static str,
    /// Not encoded.
    path: &'static str,
    query: &'static [Pair<'static>],
    /// Beside `host` and `x-amz-date`.
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    signature: &'static str,
}

/// Keys of AWS's documentation, which open nothing.
fn keys(id: &str, secret: &str) -> Keys {
    Keys {
        id: id.into(),
        secret: Secret::from(secret),
        token: None,
    }
}

fn s3_keys() -> Keys {
    keys(
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    )
}

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The suite that comes with AWS's own signers.
const VECTORS: &[Vector] = &[
    Vector {
        name: "get-header-key-duplicate",
        method: "GET",
        path: "/",
        query: &[],
        headers: &[
            ("my-header1", "value2"),
            ("my-header1", "value2"),
            ("my-header1", "value1"),
        ],
        body: "",
        signature: "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    },
    Vector {
        name: "get-header-value-multiline",
        method: "GET",
        path: "/",
        query: &[],
        headers: &[("my-header1", "value1 value2 value3")],
        body: "",
        signature: "cfd34249e4b1c8d6b91ef74165d41a32e5fab3306300901bb65a51a73575eefd",
    },
    Vector {
        name: "get-header-value-order",
        method: "GET",
        path: "/",
        query: &[],
        headers: &[
            ("my-header1", "value4"),
            ("my-header1", "value1"),
            ("my-header1", "value3"),
            ("my-header1", "value2"),
        ],
        body: "",
        signature: "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
    },
    Vector {
        name: "get-header-value-trim",
        method: "GET",
        path: "/",
        query: &[],
        headers: &[("my-header1", " value1"), ("my-header2", " \"a   b   c\"")],
        body: "",
        signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    },
    Vector {
        name: "get-relative-relative-unnormalized",
        method: "GET",
        path: "/example1/example2/../..",
        query: &[],
        headers: &[],
        body: "",
        signature: "dc33e0856fd4baca4d7aa2146c38958283844764f38c74252a333df5e613003b",
    },
    Vector {
        name: "get-relative-unnormalized",
        method: "GET",
        path: "/example/..",
        query: &[],
        headers: &[],
        body: "",
        signature: "eca7ead57bb5aa5c8e28007acd4ff04e1ff9a0ff3b237ec1554a184887ff9282",
    },
    Vector {
        name: "get-slash-dot-slash-unnormalized",
        method: "GET",
        path: "/./",
        query: &[],
        headers: &[],
        body: "",
        signature: "68714168e6557f8f2de0ef956fc24dc2593a4bd2961f8df51898d8a134695145",
    },
    Vector {
        name: "get-slash-pointless-dot-unnormalized",
        method: "GET",
        path: "/./example",
        query: &[],
        headers: &[],
        body: "",
        signature: "beb03f223f7deae4146464f06e29eebbee9c8afbe15c290cf07aa8b119e14cff",
    },
    Vector {
        name: "get-slash-unnormalized",
        method: "GET",
        path: "//",
        query: &[],
        headers: &[],
        body: "",
        signature: "c88bcd3d312d75078c0cd961d6deae3f4c754924b01669efcfcb439fd5e5b76e",
    },
    Vector {
        name: "get-slashes-unnormalized",
        method: "GET",
        path: "//example//",
        query: &[],
        headers: &[],
        body: "",
        signature: "87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5",
    },
    Vector {
        name: "get-space-unnormalized",
        method: "GET",
        path: "/example space/",
        query: &[],
        headers: &[],
        body: "",
        signature: "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
    },
    Vector {
        name: "get-unreserved",
        method: "GET",
        path: "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        query: &[],
        headers: &[],
        body: "",
        signature: "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    },
    Vector {
        name: "get-utf8",
        method: "GET",
        path: "/ሴ",
        query: &[],
        headers: &[],
        body: "",
        signature: "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
    },
    Vector {
        name: "get-vanilla",
        method: "GET",
        path: "/",
        query: &[],
        headers: &[],
        body: "",
        signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    },
    Vector {
        name: "get-vanilla-empty-query-key",
        method: "GET",
        path: "/",
        query: &[("Param1", Some("value1"))],
        headers: &[],
        body: "",
        signature: "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
    },
    Vector {
        name: "get-vanilla-query-order-encoded",
        method: "GET",
        path: "/",
        query: &[
            ("Param-3", Some("Value3")),
            ("Param", Some("Value2")),
            ("ሴ", Some("Value1")),
        ],
        headers: &[],
        body: "",
        signature: "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
    },
    Vector {
        name: "get-vanilla-query-order-key-case",
        method: "GET",
        path: "/",
        query: &[("Param2", Some("value2")), ("Param1", Some("value1"))],
        headers: &[],
        body: "",
        signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    },
    Vector {
        name: "get-vanilla-query-unreserved",
        method: "GET",
        path: "/",
        query: &[(
            "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            Some("-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
        )],
        headers: &[],
        body: "",
        signature: "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    },
    Vector {
        name: "get-vanilla-utf8-query",
        method: "GET",
        path: "/",
        query: &[("ሴ", Some("bar"))],
        headers: &[],
        body: "",
        signature: "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
    },
    Vector {
        name: "get-vanilla-with-session-token",
        method: "GET",
        path: "/",
        query: &[],
        headers: &[(
            "x-amz-security-token",
            "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267",
        )],
        body: "",
        signature: "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
    },
    Vector {
        name: "post-header-key-sort",
        method: "POST",
        path: "/",
        query: &[],
        headers: &[("my-header1", "value1")],
        body: "",
        signature: "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    },
    Vector {
        name: "post-header-value-case",
        method: "POST",
        path: "/",
        query: &[],
        headers: &[("my-header1", "VALUE1")],
        body: "",
        signature: "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    },
    Vector {
        name: "post-sts-header-before",
        method: "POST",
        path: "/",
        query: &[],
        headers: &[(
            "x-amz-security-token",
            "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==",
        )],
        body: "",
        signature: "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
    },
    Vector {
        name: "post-vanilla",
        method: "POST",
        path: "/",
        query: &[],
        headers: &[],
        body: "",
        signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    },
    Vector {
        name: "post-vanilla-query",
        method: "POST",
        path: "/",
        query: &[("Param1", Some("value1"))],
        headers: &[],
        body: "",
        signature: "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
    },
    Vector {
        name: "post-x-www-form-urlencoded",
        method: "POST",
        path: "/",
        query: &[],
        headers: &[
            ("content-type", "application/x-www-form-urlencoded"),
            ("content-length", "13"),
            (
                "x-amz-content-sha256",
                "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e",
            ),
        ],
        body: "Param1=value1",
        signature: "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
    },
    Vector {
        name: "post-x-www-form-urlencoded-parameters",
        method: "POST",
        path: "/",
        query: &[],
        headers: &[
            (
                "content-type",
                "application/x-www-form-urlencoded; charset=utf-8",
            ),
            ("content-length", "13"),
            (
                "x-amz-content-sha256",
                "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e",
            ),
        ],
        body: "Param1=value1",
        signature: "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422",
    },
];

#[test]
fn the_published_vectors() {
    let keys = keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    let scope = Scope {
        region: "us-east-1",
        service: "service",
        time: "2015-08-30T12:36:00Z".parse().unwrap(),
    };
    assert_eq!(scope.stamp(), "20150830T123600Z");
    for v in VECTORS {
        let mut headers = vec![
            ("host", "example.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
        ];
        headers.extend(v.headers);
        let message = Message {
            method: v.method,
            path: &PathStyle::Strict.encode(v.path),
            query: v.query,
            headers: &headers,
            payload: &hex(&Sha256::digest(v.body)),
        };
        let signed = authorization(&keys, scope, &message);
        assert!(
            signed.ends_with(&format!(", Signature={}", v.signature)),
            "{}: {signed}",
            v.name
        );
    }
}

/// "Authenticating Requests: Using the Authorization Header", read 2026-11-21.
#[test]
fn the_examples_of_s3() {
    let scope = Scope {
        region: "us-east-1",
        service: "s3",
        time: "2013-05-24T00:00:00Z".parse().unwrap(),
    };
    let host = ("host", "examplebucket.s3.amazonaws.com");
    let date = ("x-amz-date", "20130524T000000Z");
    let empty = ("x-amz-content-sha256", EMPTY);
    let stored = hex(&Sha256::digest("Welcome to Amazon S3."));
    let get = Message {
        method: "GET",
        path: "/test.txt",
        query: &[],
        headers: &[host, ("range", "bytes=0-9"), empty, date],
        payload: EMPTY,
    };
    let put = Message {
        method: "PUT",
        path: "/test%24file.text",
        query: &[],
        headers: &[
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            host,
            ("x-amz-content-sha256", &stored),
            date,
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ],
        payload: &stored,
    };
    let lifecycle = Message {
        method: "GET",
        path: "/",
        query: &[("lifecycle", None)],
        headers: &[host, empty, date],
        payload: EMPTY,
    };
    let list = Message {
        query: &[("max-keys", Some("2")), ("prefix", Some("J"))],
        ..lifecycle
    };
    for (message, signature) in [
        (
            get,
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            put,
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            lifecycle,
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            list,
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ] {
        let signed = authorization(&s3_keys(), scope, &message);
        assert!(signed.ends_with(signature), "{message:?}: {signed}");
        assert!(signed.starts_with(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=",
        ));
    }
}

/// "Authenticating Requests: Using Query Parameters", read 2026-11-21.
#[test]
fn the_example_of_a_link() {
    let scope = Scope {
        region: "us-east-1",
        service: "s3",
        time: "2013-05-24T00:00:00Z".parse().unwrap(),
    };
    assert_eq!(
        presigned_query(
            &s3_keys(),
            scope,
            "examplebucket.s3.amazonaws.com",
            "/test.txt",
            86400
        ),
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    );
}

#[test]
fn a_token_is_part_of_what_is_signed() {
    let scope = Scope {
        region: "eu-west-1",
        service: "s3",
        time: "2013-05-24T00:00:00Z".parse().unwrap(),
    };
    let mut with = s3_keys();
    with.token = Some(Secret::from("to+ken/="));
    let (a, b) = (
        presigned_query(&s3_keys(), scope, "h", "/k", 1),
        presigned_query(&with, scope, "h", "/k", 1),
    );
    assert!(b.contains("&X-Amz-Security-Token=to%2Bken%2F%3D&"), "{b}");
    assert_ne!(a.rsplit('=').next(), b.rsplit('=').next());
}
