//! LocalStack, for its SNS: subscriptions over HTTP with confirmation and real signatures.

use std::path::PathBuf;

use super::{Peers, pip};
use crate::run::{Result, command};

/// The Python that these versions are for.
const PYTHON: &str = "3.11";

/// LocalStack with all that it needs for SNS and SQS, each pinned, so that nothing is resolved.
const LOCALSTACK: &[&str] = &[
    "--no-deps",
    "localstack-core==4.3.0",
    "airspeed_ext==0.6.9",
    "annotated-types==0.8.0",
    "antlr4-python3-runtime==4.13.2",
    "attrs==26.1.0",
    "awscrt==0.38.1",
    "boto3==1.37.18",
    "botocore==1.37.18",
    "build==1.6.1",
    "cachetools==8.0.0",
    "cbor2==5.7.1",
    "certifi==2026.10.18",
    "cffi==2.1.1",
    "charset-normalizer==3.5.2",
    "click==8.5.1",
    "constantly==23.10.4",
    "cryptography==44.0.3",
    "dill==0.3.6",
    "dnslib==0.9.26",
    "dnspython==2.9.2",
    "docker==7.2.0",
    "h11==0.16.0",
    "h2==4.4.1",
    "hpack==4.2.0",
    "Hypercorn==0.18.0",
    "hyperframe==6.1.0",
    "hyperlink==21.0.0",
    "idna==3.20",
    "Incremental==24.11.0",
    "isodate==0.7.2",
    "Jinja2==3.1.6",
    "jmespath==1.1.0",
    "jsonpatch==1.47",
    "jsonpath-ng==1.16.0",
    "jsonpointer==3.12",
    "jsonschema==4.26.0",
    "jsonschema-path==0.4.6",
    "jsonschema-specifications==2025.9.1",
    "lazy-object-proxy==1.13.0",
    "localstack-twisted==26.4.0",
    "markdown-it-py==4.3.0",
    "MarkupSafe==3.0.4",
    "mdurl==0.1.2",
    "more-itertools==11.2.1",
    "moto-ext==5.1.54",
    "openapi-core==0.23.1",
    "openapi-schema-validator==0.8.1",
    "openapi-spec-validator==0.8.5",
    "packaging==26.3",
    "pathable==0.5.0",
    "plux==1.16.0",
    "priority==1.3.0",
    "psutil==7.2.2",
    "pyasn1==0.6.5",
    "pyasn1_modules==0.4.2",
    "pycparser==3.12",
    "pydantic==2.14.3",
    "pydantic-settings==2.16.3",
    "pydantic_core==2.50.4",
    "Pygments==2.21.0",
    "pyOpenSSL==24.3.0",
    "pyproject_hooks==1.3.3",
    "python-dateutil==2.9.0.post0",
    "python-dotenv==1.2.4",
    "PyYAML==6.0.3",
    "readerwriterlock==1.0.10",
    "referencing==0.37.0",
    "requests==2.34.2",
    "requests-aws4auth==1.4.0",
    "responses==0.26.3",
    "rfc3339-validator==0.1.4",
    "rich==15.0.0",
    "rolo==0.8.9",
    "rpds-py==2026.9.1",
    "s3transfer==0.11.5",
    "semver==3.1.1",
    "service-identity==24.2.0",
    "six==1.17.0",
    "tailer==0.4.1",
    "typing-inspection==0.4.5",
    "typing_extensions==4.16.0",
    "urllib3==2.8.0",
    "Werkzeug==3.1.9",
    "wsproto==1.3.2",
    "xmltodict==1.0.4",
    "zope.interface==8.7",
];

pub(super) fn install(may_install: bool, peers: &mut Peers) {
    peers.note("NOTIFIER_TEST_LOCALSTACK", "LocalStack", found(may_install));
}

/// Where its Python is.
fn found(may_install: bool) -> Result<PathBuf> {
    let said = command("python3").arg("--version").output();
    let said = said.map_err(|e| format!("python3 cannot be asked: {e}"))?;
    let said = String::from_utf8_lossy(&said.stdout);
    let version = said.trim().trim_start_matches("Python ");
    if !version.starts_with(&format!("{PYTHON}.")) {
        return Err(format!(
            "its pinned versions are for Python {PYTHON}, and python3 is {version}"
        ));
    }
    // The package itself is enough to say what is missing.
    pip(may_install, "localstack", LOCALSTACK)
        .map_err(|why| why.replace(&LOCALSTACK.join(" "), LOCALSTACK[1]))
}
