//! Why visits could not be opened, and what to do. Must not know where visits are kept.

use std::path::PathBuf;

/// Why visits could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum VisitsError {
    /// A newer version of the program wrote the file.
    #[error("`{}` has format {found}, this version knows up to {known}\nhint: start the newer version again", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// A file or folder could not be made or read.
    #[error("cannot use `{}`", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no database of ours any more.
    #[error(
        "`{}` is damaged\nhint: nothing was changed: put a backup in its place, or move it and its `-wal` file away; open visits then go by their cookies alone",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the database says.
        #[source]
        source: rusqlite::Error,
    },
    /// The database refused.
    #[error("cannot use the visits in `{}`\nhint: is another process using it?", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
}
