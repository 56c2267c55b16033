//! Meta's own SDKs for Python and Node as clients of the Graph-compatible door, unmodified but for the host.
//! Run by `tests/run`, which installs them.
