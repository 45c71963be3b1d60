//! The protobuf messages and gRPC services of Cordon, generated from `proto/cordon/v1/*.proto`.
//!
//! The `.proto` files are the reference: their comments say what each field means. This crate holds the messages, the
//! client and the server side of the services, and the descriptors for reflection.

pub mod convert;

/// Version 1 of the API. Fields are only ever added; a field's number and meaning never change.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::large_futures,
    rustdoc::all,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("cordon.v1");
}

/// The descriptors of everything in this crate, encoded as a `google.protobuf.FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/cordon.bin"));
