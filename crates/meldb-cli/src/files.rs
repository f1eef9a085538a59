//! The files that this program makes: nobody but their owner may read them, and none is made or
//! written where a symbolic link of somebody else leads.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::{Mode, OFlags};

/// The mode of a file that only its owner reads and writes.
const PRIVATE: u32 = 0o600;

/// Keeps whatever this process makes to its owner, files of engines included.
pub(crate) fn keep_private() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Creates a file that must not exist, to be read and written.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(PRIVATE).open(path)
}

/// Creates a file in the place of what is there; a symbolic link is replaced and not followed.
pub(crate) fn create_anew(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => create_new(path),
    }
}

/// Opens a file to read and write, or creates it; a symbolic link is not followed.
pub(crate) fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(PRIVATE);
    options.custom_flags(no_follow()).open(path)
}

/// Opens a file to append to, or creates it. A symbolic link is followed if it is root's or this
/// user's own, as `/dev/stdout` is.
pub(crate) fn open_to_append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(PRIVATE);
    let own = rustix::process::geteuid().as_raw();
    let is_trusted = |link: fs::Metadata| link.is_symlink() && [0, own].contains(&link.uid());
    if !fs::symlink_metadata(path).is_ok_and(is_trusted) {
        options.custom_flags(no_follow());
    }
    options.open(path)
}

/// Writes a whole file in the place of another one, so that a reader finds either.
pub(crate) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    io::Write::write_all(&mut create_anew(fresh.as_ref())?, text)?;
    fs::rename(fresh, path)
}

/// Returns whether users other than its owner may open a file.
pub(crate) fn is_open_to_others(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o077 != 0)
}

fn no_follow() -> i32 {
    OFlags::NOFOLLOW.bits().cast_signed()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_planted_link_leads_nowhere() {
        let dir = tempfile::tempdir().expect("a directory");
        let (victim, link) = (dir.path().join("victim"), dir.path().join("link"));
        fs::write(&victim, "kept").expect("written");
        symlink(&victim, &link).expect("linked");
        assert!(create_new(&link).is_err());
        assert!(open_or_create(&link).is_err());
        // It is the tests' own user who has made the link.
        open_to_append(&link).expect("a link of one's own");
        replace(&link, b"new").expect("replaced");
        assert!(fs::symlink_metadata(&link).expect("there").is_file());
        symlink(&victim, dir.path().join("other")).expect("linked");
        create_anew(&dir.path().join("other")).expect("in its place");
        assert_eq!(fs::read_to_string(&victim).expect("there"), "kept");
    }

    #[test]
    fn what_is_made_is_its_owners_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join(name);
        for file in [
            create_new(&path("a")),
            create_anew(&path("b")),
            open_or_create(&path("c")),
            open_to_append(&path("d")),
        ] {
            let file = file.expect("made");
            assert!(!is_open_to_others(&file), "{file:?}");
        }
        fs::set_permissions(path("a"), std::os::unix::fs::PermissionsExt::from_mode(0o640))
            .expect("set");
        assert!(is_open_to_others(&File::open(path("a")).expect("there")));
    }
}
