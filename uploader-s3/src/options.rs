//! What can be set.

use std::time::Duration;

use notifier_core::{OptionGroup, OptionKind, OptionSpec};

/// The name of the uploader that signs with version 4.
pub const S3AWS: &str = "s3aws";

/// The name of the uploader that signs with version 2.
pub const S3GOAMZ: &str = "s3goamz";

/// What comes before the log's name in a key, unless set.
pub const DEFAULT_PREFIX: &str = "complainer/{{ .failure.Finished.UTC.Format \"2006-01-02\" }}/{{ .failure.Name }}/{{ .failure.Finished.UTC.Format \"2006-01-02T15:04:05.000\" }}-{{ .failure.ID }}";

/// The longest life of a link signed with version 4.
///
/// Source: AWS, "Authenticating Requests: Using Query Parameters", `X-Amz-Expires`, read 2026-11-21.
pub const MAX_V4_LINK: Duration = Duration::from_secs(7 * 24 * 3600);

// No secret: it stands in every link, and what masks secrets would break them.
const ACCESS_KEY: OptionSpec =
    OptionSpec::new("access_key", "id of the key to sign with").env("S3_ACCESS_KEY");
const SECRET_KEY: OptionSpec = OptionSpec::new("secret_key", "the key to sign with")
    .env("S3_SECRET_KEY")
    .secret();
const BUCKET: OptionSpec = OptionSpec::new("bucket", "bucket to keep logs in").env("S3_BUCKET");
const PREFIX: OptionSpec = OptionSpec::new("prefix", "what comes before the log's name in a key")
    .kind(OptionKind::Template)
    .default(DEFAULT_PREFIX)
    .env("S3_PREFIX");
const MAX_SIZE: OptionSpec = OptionSpec::new(
    "max_size",
    "the most that is kept of a log, its beginning and its end; 0 keeps all",
)
.kind(OptionKind::Size)
.default("64MiB")
.env("S3_MAX_SIZE");
const GZIP: OptionSpec = OptionSpec::new("gzip", "compress logs")
    .kind(OptionKind::Bool)
    .default("false")
    .env("S3_GZIP");

/// The options of `s3aws`.
pub const S3AWS_OPTIONS: OptionGroup = OptionGroup::new(
    S3AWS,
    &[
        OptionSpec::new(
            "access_key",
            "id of the key to sign with; without one AWS's own places are looked at",
        )
        .env("S3_ACCESS_KEY"),
        SECRET_KEY,
        OptionSpec::new(
            "session_token",
            "goes with a temporary key; links die with the key",
        )
        .env("S3_SESSION_TOKEN")
        .secret(),
        OptionSpec::new("region", "region of the bucket, such as eu-west-1").env("S3_REGION"),
        BUCKET,
        PREFIX,
        OptionSpec::new("timeout", "how long links work, at most 168h")
            .kind(OptionKind::Duration)
            .default("168h")
            .env("S3_TIMEOUT"),
        OptionSpec::new("endpoint", "address of a store that is not AWS")
            .kind(OptionKind::Url)
            .env("S3_ENDPOINT"),
        OptionSpec::new(
            "path_style",
            "put the bucket into the path, not the host; true with an endpoint or dots in the bucket's name, unless set",
        )
        .kind(OptionKind::Bool)
        .env("S3_PATH_STYLE"),
        OptionSpec::new("sse", "encryption at rest, by the store")
            .kind(OptionKind::Choice(&["AES256", "aws:kms", "aws:kms:dsse"]))
            .env("S3_SSE"),
        OptionSpec::new("sse_kms_key_id", "key of KMS to encrypt with")
            .env("S3_SSE_KMS_KEY_ID"),
        OptionSpec::new("storage_class", "such as STANDARD_IA").env("S3_STORAGE_CLASS"),
        MAX_SIZE,
        GZIP,
    ],
);

/// The options of `s3goamz`.
pub const S3GOAMZ_OPTIONS: OptionGroup = OptionGroup::new(
    S3GOAMZ,
    &[
        ACCESS_KEY,
        SECRET_KEY,
        OptionSpec::new(
            "endpoint",
            "address of the bucket itself; ${bucket} in it is replaced by the bucket's name",
        )
        .env("S3_ENDPOINT"),
        BUCKET,
        PREFIX,
        OptionSpec::new("timeout", "how long links work")
            .kind(OptionKind::Duration)
            .default("168h")
            .env("S3_TIMEOUT"),
        MAX_SIZE,
        GZIP,
    ],
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_have_the_variables_of_the_original() {
        for group in [S3AWS_OPTIONS, S3GOAMZ_OPTIONS] {
            for key in ["access_key", "secret_key", "bucket", "prefix", "timeout"] {
                let spec = group.find(key).unwrap();
                let env = format!("S3_{}", key.to_uppercase());
                assert_eq!(group.env(spec), Some(env));
                assert!(!spec.label, "{key}");
            }
        }
        assert_eq!(
            S3GOAMZ_OPTIONS
                .env(S3GOAMZ_OPTIONS.find("endpoint").unwrap())
                .as_deref(),
            Some("S3_ENDPOINT")
        );
        assert_eq!(
            S3AWS_OPTIONS
                .env(S3AWS_OPTIONS.find("region").unwrap())
                .as_deref(),
            Some("S3_REGION")
        );
    }
}
