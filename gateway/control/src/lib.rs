//! The gRPC control plane: how operators ask and order.
//!
//! What holds:
//!
//! - Nothing answers without a client certificate of the operator authority: TLS refuses the handshake, and the refusal
//!   is an event with the peer's address. What is not TLS never reaches the gRPC code.
//! - The certificate's common name is the operator; [`Operators`] gives it a [`Role`]; the role is looked up at every
//!   call and every streamed event, so taking a name away acts at once.
//! - A changing call carries a reason, runs to its end even if the caller goes away, and is one `OPERATOR_ACTED` event,
//!   durable before the caller gets its answer. A call that the role does not allow is one `OPERATOR_REFUSED` event.
//! - Nobody waits for a stranger: handshakes run in tasks of their own, under a deadline, bounded in number as a whole
//!   and for one address.
//!
//! What the gateway does behind the calls is the [`Backend`]'s; this crate knows no broker and no journal.

mod accept;
mod access;
mod backend;
mod refusals;
mod server;
mod service;
mod tls;

#[cfg(test)]
mod testing;

pub use access::{Access, Operators, Role, UnknownRole};
pub use backend::{Backend, EventQuery, EventSelection, EventStream, Fault, Isolation, Question};
pub use server::{BindError, Limits, ServeError, Server};
pub use tls::{Identity, TlsError, server_config};
