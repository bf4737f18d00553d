//! What reports say in text and in files.
