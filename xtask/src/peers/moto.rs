//! moto: SNS, SQS and IAM by code that is not ours, which checks signatures.

use super::{Peers, pip};

/// moto with what it needs to serve these three, each pinned, so that nothing is resolved.
const MOTO: &[&str] = &[
    "--no-deps",
    "moto==5.2.5",
    "blinker==1.9.0",
    "boto3==1.44.5",
    "botocore==1.44.5",
    "certifi==2026.10.18",
    "cffi==2.1.1",
    "charset-normalizer==3.5.2",
    "click==8.5.1",
    "cryptography==50.0.2",
    "Flask==3.1.3",
    "flask-cors==6.0.5",
    "idna==3.20",
    "itsdangerous==2.2.0",
    "Jinja2==3.1.6",
    "jmespath==1.1.0",
    "MarkupSafe==3.0.4",
    "pycparser==3.12",
    "python-dateutil==2.9.0.post0",
    "PyYAML==6.0.3",
    "requests==2.34.2",
    "responses==0.26.3",
    "s3transfer==0.19.3",
    "six==1.17.0",
    "urllib3==2.8.0",
    "Werkzeug==3.1.9",
    "xmltodict==1.0.4",
];

pub(super) fn install(may_install: bool, peers: &mut Peers) {
    // The package itself is enough to say what is missing.
    let found = pip(may_install, "moto", MOTO).map_err(|why| why.replace(&MOTO.join(" "), MOTO[1]));
    peers.note("NOTIFIER_TEST_MOTO", "moto", found);
}
