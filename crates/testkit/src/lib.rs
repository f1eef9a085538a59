//! Conformance suites, the model and the faulty engine that the tests share.
