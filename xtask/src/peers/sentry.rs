//! Sentry: Bugsink, a server that speaks its protocol, and the normaliser of its relay.

use super::{Peers, pip};

/// Bugsink with all that it needs, each pinned, so that nothing is resolved.
const BUGSINK: &[&str] = &[
    "--no-deps",
    "bugsink==2.6.2",
    "asgiref==3.13.0",
    "attrs==26.1.0",
    "brotli==1.2.1",
    "certifi==2026.10.18",
    "cffi==2.1.1",
    "charset-normalizer==3.5.2",
    "Django==5.2.19",
    "django-admin-autocomplete-filter==0.7.1",
    "django-tailwind==4.2.0",
    "djangorestframework==3.18.3",
    "drf-spectacular==0.30.0",
    "drf-spectacular-sidecar==2026.10.1",
    "ecma426==0.2.0",
    "fastjsonschema==2.22.3",
    "gunicorn==26.2.0",
    "idna==3.20",
    "inflection==0.5.1",
    "inotify-simple==2.0.1",
    "jsonschema==4.26.0",
    "jsonschema-specifications==2025.9.1",
    "milksnake==0.1.6",
    "monofy==1.2.0",
    "pycparser==3.12",
    "Pygments==2.21.0",
    "python-dateutil==2.9.0.post0",
    "PyYAML==6.0.3",
    "referencing==0.37.0",
    "requests==2.34.2",
    "rpds-py==2026.9.1",
    "semver==3.1.1",
    "sentry-sdk==2.75.0",
    "six==1.17.0",
    "sqlparse==0.6.1",
    "symbolic==8.7.2",
    "typing_extensions==4.16.0",
    "ua-parser==1.0.2",
    "ua-parser-builtins==202610",
    "uritemplate==4.2.0",
    "urllib3==2.8.0",
    "user-agents==2.2.0",
    "verbose_csrf_middleware==5.2.0",
    "whitenoise==6.12.0",
];

const RELAY: &[&str] = &[
    "--no-deps",
    "sentry-relay==0.10.1",
    "cffi==2.1.1",
    "milksnake==0.1.6",
    "pycparser==3.12",
];

pub(super) fn install(may_install: bool, peers: &mut Peers) {
    for (variable, what, folder, packages) in [
        ("NOTIFIER_TEST_BUGSINK", "Bugsink", "bugsink", BUGSINK),
        (
            "NOTIFIER_TEST_SENTRY_RELAY",
            "Sentry's normaliser",
            "sentry-relay",
            RELAY,
        ),
    ] {
        // The package itself is enough to say what is missing.
        let found = pip(may_install, folder, packages)
            .map_err(|why| why.replace(&packages.join(" "), packages[1]));
        peers.note(variable, what, found);
    }
}
