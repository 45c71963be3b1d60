//! What every call goes through: who asks, may they, and the record of it.

use crate::accept::Peer;
use crate::access::{Access, Role};
use crate::backend::{Backend, Fault};
use crate::refusals::Refusals;
use crate::server::Limits;
use cordon_core::event::{Code, Event};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Extensions, Request, Status};

pub(crate) struct Desk<B> {
    pub(super) backend: Arc<B>,
    pub(super) access: Arc<Access>,
    pub(super) stop: CancellationToken,
    pub(super) followers: Arc<Semaphore>,
    pub(super) verifiers: Semaphore,
    refusals: Arc<Refusals<B>>,
    tasks: TaskTracker,
    call_timeout: Duration,
}

/// An operator whose role allows the call.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) peer: Peer,
    pub(crate) role: Role,
}

/// A changing call, for the record.
pub(crate) struct Act {
    /// `cordon:Isolate` and the like.
    pub(crate) action: &'static str,
    /// On what.
    pub(crate) resource: String,
    /// The operator's reason.
    pub(crate) reason: String,
    /// Further facts.
    pub(crate) details: Vec<(&'static str, String)>,
}

// === impl Desk ===

impl<B: Backend> Desk<B> {
    pub(crate) fn new(
        backend: Arc<B>,
        access: Arc<Access>,
        refusals: Arc<Refusals<B>>,
        limits: &Limits,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self {
            backend,
            access,
            stop,
            followers: Arc::new(Semaphore::new(limits.followers)),
            verifiers: Semaphore::new(1),
            refusals,
            tasks,
            call_timeout: limits.call_timeout,
        }
    }

    /// The caller, if its role allows `action`; otherwise the refusal is recorded.
    pub(crate) fn admit(
        &self,
        extensions: &Extensions,
        needs: Role,
        action: &'static str,
        resource: &str,
    ) -> Result<Caller, Status> {
        let peer = extensions
            .get::<Peer>()
            .cloned()
            .ok_or_else(|| Status::internal("the connection does not say who the operator is"))?;
        let reason = match self.access.role(&peer.name) {
            Some(role) if role >= needs => return Ok(Caller { peer, role }),
            Some(role) => format!("the role {role} does not allow it; it needs the role {needs}"),
            None => format!("no role is given to `{}`; add it to `[[operator]]` in the configuration", peer.name),
        };
        let event = self.event(Code::OperatorRefused, &peer).action(action).reason(reason.clone());
        self.refusals.record(if resource.is_empty() { event } else { event.resource(resource) });
        Err(Status::permission_denied(format!("{action} was refused: {reason}")))
    }

    /// An interceptor that lets any operator with a role through.
    pub(crate) fn gate(
        self: &Arc<Self>,
        action: &'static str,
    ) -> impl FnMut(Request<()>) -> Result<Request<()>, Status> + Clone + use<B> {
        let desk = self.clone();
        move |request| desk.admit(request.extensions(), Role::Viewer, action, "").map(|_| request)
    }

    /// Waits for a reading call, but not for ever.
    pub(crate) async fn read<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Status> {
        match timeout(self.call_timeout, work).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(Status::deadline_exceeded("the gateway is too busy to answer; try again")),
        }
    }

    /// Does a changing call and records it. Both run to their end even if the caller hangs up.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        caller: &Caller,
        act: Act,
        work: impl Future<Output = Result<T, Fault>> + Send + 'static,
    ) -> Result<T, Status> {
        let mut event = self
            .event(Code::OperatorActed, &caller.peer)
            .action(act.action)
            .resource(act.resource)
            .reason(act.reason)
            .detail("role", caller.role.name());
        for (name, value) in act.details {
            event = event.detail(name, value);
        }
        let backend = self.backend.clone();
        let work = self.tasks.spawn(work);
        let task = self.tasks.spawn(async move {
            let result = work.await.unwrap_or_else(|error| {
                tracing::error!(%error, "a changing call broke off");
                Err(Fault::Internal("the call broke off inside the gateway; see its log".into()))
            });
            event.at = backend.now();
            let event = match &result {
                Ok(_) => event.detail("outcome", "done"),
                Err(fault) => event.detail("outcome", format!("failed: {fault}")),
            };
            backend.audit(event).await;
            result
        });
        match timeout(self.call_timeout, task).await {
            Ok(Ok(result)) => Ok(result?),
            Ok(Err(_)) => Err(Status::internal("the call could not be recorded; see the gateway's log")),
            Err(_) => Err(Status::deadline_exceeded(
                "the gateway is still working on it; look at its state before you try again",
            )),
        }
    }

    fn event(&self, code: Code, peer: &Peer) -> Event {
        Event::new(code, self.backend.now()).peer(peer.address).principal(format!("operator:{}", peer.name))
    }
}

// === impl Caller ===

impl Caller {
    /// The caller as the author of what it orders.
    pub(crate) fn author(&self) -> String {
        format!("operator:{}", self.peer.name)
    }
}
