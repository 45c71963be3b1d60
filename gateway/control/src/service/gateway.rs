//! The `Gateway` service: each call says which role it needs, checks its arguments, and asks the backend.

use super::ask;
use super::desk::{Act, Desk};
use super::stream::{self, Items, items};
use crate::access::Role;
use crate::backend::Backend;
use cordon_proto::v1::gateway_server::Gateway;
use cordon_proto::v1::{self, *};
use std::sync::Arc;
use tonic::{Request, Response, Status};

pub(super) struct GatewayService<B> {
    desk: Arc<Desk<B>>,
}

// === impl GatewayService ===

impl<B: Backend> GatewayService<B> {
    pub(super) fn new(desk: Arc<Desk<B>>) -> Self {
        Self { desk }
    }

    fn backend(&self) -> &B {
        &self.desk.backend
    }

    /// The request's message, if the caller may read.
    fn reading<T>(&self, request: Request<T>, action: &'static str) -> Result<T, Status> {
        self.desk.admit(request.extensions(), Role::Viewer, action, "")?;
        Ok(request.into_inner())
    }
}

#[tonic::async_trait]
impl<B: Backend> Gateway for GatewayService<B> {
    type ListEventsStream = Items<RecordedEvent>;
    type FollowEventsStream = Items<RecordedEvent>;
    type ListAlarmsStream = Items<Alarm>;
    type ListFindingsStream = Items<Finding>;
    type ListOrdersStream = Items<Order>;
    type ListThingsStream = Items<v1::Thing>;
    type ListSessionsStream = Items<Session>;

    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let caller = self.desk.admit(request.extensions(), Role::Viewer, "cordon:Status", "")?;
        let mut status = self.desk.read(self.backend().status()).await?;
        status.operator = caller.peer.name.to_string();
        status.role = caller.role.name().to_owned();
        Ok(Response::new(status))
    }

    async fn list_events(
        &self,
        request: Request<ListEventsRequest>,
    ) -> Result<Response<Self::ListEventsStream>, Status> {
        let request = self.reading(request, "cordon:ListEvents")?;
        let query = ask::query(request, self.backend().now().unix)?;
        self.desk.read(self.backend().list_events(query)).await.map(items)
    }

    async fn follow_events(
        &self,
        request: Request<FollowEventsRequest>,
    ) -> Result<Response<Self::FollowEventsStream>, Status> {
        let caller = self.desk.admit(request.extensions(), Role::Viewer, "cordon:FollowEvents", "")?;
        let request = request.into_inner();
        let selection = ask::selection(request.filter)?;
        let place = self.desk.followers.clone().try_acquire_owned().map_err(|_| {
            Status::resource_exhausted("too many operators follow the events; end one of them and try again")
        })?;
        let events = self.desk.read(self.backend().follow_events(request.after_seq)).await?;
        Ok(stream::follow(&self.desk, caller, events, selection, place))
    }

    async fn verify_journal(
        &self,
        request: Request<VerifyJournalRequest>,
    ) -> Result<Response<VerifyJournalResponse>, Status> {
        self.reading(request, "cordon:VerifyJournal")?;
        let _turn = self.desk.verifiers.try_acquire().map_err(|_| {
            Status::resource_exhausted("the journal is being checked already; try again when that is done")
        })?;
        Ok(Response::new(self.backend().verify_journal().await?))
    }

    async fn list_alarms(
        &self,
        request: Request<ListAlarmsRequest>,
    ) -> Result<Response<Self::ListAlarmsStream>, Status> {
        let request = self.reading(request, "cordon:ListAlarms")?;
        let limit = ask::limit(request.limit, 1_000)?;
        self.desk.read(self.backend().list_alarms(request.include_past, limit)).await.map(items)
    }

    async fn list_findings(
        &self,
        request: Request<ListFindingsRequest>,
    ) -> Result<Response<Self::ListFindingsStream>, Status> {
        let request = self.reading(request, "cordon:ListFindings")?;
        self.desk.read(self.backend().list_findings(request.include_closed)).await.map(items)
    }

    async fn isolate(&self, request: Request<IsolateRequest>) -> Result<Response<IsolateResponse>, Status> {
        let needs = if request.get_ref().dry_run { Role::Viewer } else { Role::Operator };
        let caller = self.desk.admit(request.extensions(), needs, "cordon:Isolate", &request.get_ref().selector)?;
        let request = request.into_inner();
        let dry_run = request.dry_run;
        let order = ask::isolation(request, caller.author())?;
        if dry_run {
            return self.desk.read(self.backend().preview(order.selector)).await.map(Response::new);
        }
        let act = Act {
            action: "cordon:Isolate",
            resource: order.selector.to_string(),
            reason: order.reason.clone(),
            details: ask::details(&order),
        };
        let backend = self.desk.backend.clone();
        let work = async move { backend.isolate(order).await };
        self.desk.change(&caller, act, work).await.map(Response::new)
    }

    async fn list_orders(
        &self,
        request: Request<ListOrdersRequest>,
    ) -> Result<Response<Self::ListOrdersStream>, Status> {
        let request = self.reading(request, "cordon:ListOrders")?;
        self.desk.read(self.backend().list_orders(request.include_ended)).await.map(items)
    }

    async fn release(&self, request: Request<ReleaseRequest>) -> Result<Response<ReleaseResponse>, Status> {
        let caller = self.desk.admit(request.extensions(), Role::Operator, "cordon:Release", &request.get_ref().id)?;
        let ReleaseRequest { id, reason } = request.into_inner();
        let id = ask::named("id", &id, "an order id such as iso-17")?;
        let reason = ask::reason(&reason)?;
        let act = Act { action: "cordon:Release", resource: id.clone(), reason: reason.clone(), details: Vec::new() };
        let (backend, by) = (self.desk.backend.clone(), caller.author());
        let work = async move { backend.release(id, by, reason).await };
        let order = self.desk.change(&caller, act, work).await?;
        Ok(Response::new(ReleaseResponse { order: Some(order) }))
    }

    async fn list_things(
        &self,
        request: Request<ListThingsRequest>,
    ) -> Result<Response<Self::ListThingsStream>, Status> {
        let request = self.reading(request, "cordon:ListThings")?;
        self.desk.read(self.backend().list_things(request.thing)).await.map(items)
    }

    async fn get_shadow(&self, request: Request<GetShadowRequest>) -> Result<Response<GetShadowResponse>, Status> {
        let request = self.reading(request, "cordon:GetShadow")?;
        let thing = ask::named("thing", &request.thing, "the name of a thing")?;
        let name = Some(request.shadow_name).filter(|name| !name.is_empty());
        let document = self.desk.read(self.backend().shadow(thing, name)).await?;
        Ok(Response::new(GetShadowResponse { document }))
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<Self::ListSessionsStream>, Status> {
        let request = self.reading(request, "cordon:ListSessions")?;
        self.desk.read(self.backend().list_sessions(request.include_disconnected)).await.map(items)
    }

    async fn disconnect(&self, request: Request<DisconnectRequest>) -> Result<Response<DisconnectResponse>, Status> {
        let caller =
            self.desk.admit(request.extensions(), Role::Operator, "cordon:Disconnect", &request.get_ref().client_id)?;
        let DisconnectRequest { client_id, reason } = request.into_inner();
        let client_id = ask::named("client_id", &client_id, "a client id from ListSessions")?;
        let reason = ask::reason(&reason)?;
        let act = Act {
            action: "cordon:Disconnect",
            resource: client_id.clone(),
            reason: reason.clone(),
            details: Vec::new(),
        };
        let (backend, by) = (self.desk.backend.clone(), caller.author());
        let work = async move { backend.disconnect(client_id, by, reason).await };
        self.desk.change(&caller, act, work).await?;
        Ok(Response::new(DisconnectResponse {}))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        let question = ask::question(self.reading(request, "cordon:Explain")?)?;
        self.desk.read(self.backend().explain(question)).await.map(Response::new)
    }

    async fn reload(&self, request: Request<ReloadRequest>) -> Result<Response<ReloadResponse>, Status> {
        let caller = self.desk.admit(request.extensions(), Role::Admin, "cordon:Reload", "")?;
        let reason = ask::reason(&request.into_inner().reason)?;
        let act = Act {
            action: "cordon:Reload",
            resource: "configuration".into(),
            reason: reason.clone(),
            details: Vec::new(),
        };
        let (backend, by) = (self.desk.backend.clone(), caller.author());
        let work = async move { backend.reload(by, reason).await };
        let changes = self.desk.change(&caller, act, work).await?;
        Ok(Response::new(ReloadResponse { changes }))
    }
}
