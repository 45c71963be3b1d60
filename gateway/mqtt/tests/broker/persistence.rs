//! What outlives the gateway, and when it is acknowledged. A restart is a new broker over what the disk held at one moment.

mod acknowledge;
mod disk;
mod restart;
