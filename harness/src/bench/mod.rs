//! How fast it is, against something else in the same run.
