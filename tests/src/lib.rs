//! Harness for tests that speak over real sockets: the gateway's process, devices, certificates, and a stand-in for AWS
//! IoT Core.

pub mod cloud;
pub mod device;
pub mod gateway;
pub mod javascript;
pub mod mosquitto;
pub mod pki;
pub mod process;
pub mod upstream;
