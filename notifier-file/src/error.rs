//! What a failed system call means.

use std::{io, path::Path};

use notifier_core::{Error, ErrorKind, Scope};
use rustix::io::Errno;

/// What a person can do about it, if waiting does not help.
fn advice(e: &io::Error) -> Option<&'static str> {
    Some(match Errno::from_io_error(e)? {
        Errno::ACCESS | Errno::PERM => "may not be written by this user",
        Errno::ROFS => "is on a read-only file system",
        Errno::ISDIR => "is a directory",
        Errno::NOTDIR => "has a part before its last one that is no directory",
        Errno::LOOP => "is a symbolic link, which is not followed: name the file itself",
        Errno::NAMETOOLONG => "has too long a name",
        Errno::INVAL => "cannot be opened for appending",
        _ => return None,
    })
}

/// An error while the notifier starts, if it is one that stays until someone acts.
pub(crate) fn at_start(path: &Path, e: io::Error) -> Option<Error> {
    let shown = path.display();
    let why = match advice(&e) {
        Some(why) => why,
        None if e.kind() == io::ErrorKind::NotFound => {
            "is in a directory that does not exist: make it first"
        }
        None => return None,
    };
    Some(Error::config(format!("file.name: {shown} {why}")).with_source(e))
}

/// An error while a record was written. None of it counts as delivered, unless the caller
/// knows better.
pub(crate) fn at_run(path: &Path, e: io::Error) -> Error {
    let shown = path.display();
    if let Some(why) = advice(&e) {
        return Error::config(format!("{shown} {why}"))
            .with_scope(Scope::Destination)
            .with_source(e);
    }
    match Errno::from_io_error(&e) {
        Some(Errno::NXIO | Errno::PIPE) => Error::new(
            ErrorKind::Unavailable,
            format!("nobody reads the pipe {shown}"),
        )
        .with_source(e),
        Some(Errno::NOSPC | Errno::DQUOT) => {
            Error::new(ErrorKind::Io, format!("no space is left for {shown}")).with_source(e)
        }
        _ => Error::new(ErrorKind::Io, format!("cannot write to {shown}")).with_source(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_must_change_is_dead_and_the_rest_is_tried_again() {
        let path = Path::new("/var/log/x");
        for errno in [
            Errno::ACCESS,
            Errno::ROFS,
            Errno::ISDIR,
            Errno::LOOP,
            Errno::NOTDIR,
        ] {
            let e = at_run(path, errno.into());
            assert!(
                !e.is_retryable() && e.scope() == Scope::Destination,
                "{e:?}"
            );
            let e = at_start(path, errno.into()).unwrap();
            assert!(e.to_string().starts_with("file.name: /var/log/x "), "{e}");
        }
        for errno in [
            Errno::NOSPC,
            Errno::DQUOT,
            Errno::IO,
            Errno::NXIO,
            Errno::PIPE,
            Errno::MFILE,
            Errno::NOENT,
        ] {
            assert!(at_run(path, errno.into()).is_retryable(), "{errno:?}");
        }
        assert!(at_start(path, Errno::NOENT.into()).is_some());
        assert!(at_start(path, Errno::NXIO.into()).is_none());
    }
}
