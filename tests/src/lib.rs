//! Harness for tests that speak over real sockets: certificates, and a stand-in for AWS IoT Core.

pub mod cloud;
pub mod device;
pub mod gateway;
pub mod pki;
