//! The HTTP adapter of MelDB.
