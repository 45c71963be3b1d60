//! Answers that are streams.

use super::desk::{Caller, Desk};
use crate::backend::{Backend, EventSelection, EventStream};
use cordon_proto::v1::RecordedEvent;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, future};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Response, Status};

/// A list, sent item by item, so that neither side needs one large message.
pub(super) type Items<T> = BoxStream<'static, Result<T, Status>>;

/// Sends `items`.
pub(super) fn items<T: Send + 'static>(items: Vec<T>) -> Response<Items<T>> {
    Response::new(stream::iter(items.into_iter().map(Ok)).boxed())
}

/// Sends the selected of `events` until the caller hangs up, loses its role, or the server stops. `place` is given back
/// at the end.
pub(super) fn follow<B: Backend>(
    desk: &Arc<Desk<B>>,
    caller: Caller,
    events: EventStream,
    selection: EventSelection,
    place: OwnedSemaphorePermit,
) -> Response<Items<RecordedEvent>> {
    let access = desk.access.clone();
    let selected = events.filter_map(move |item| {
        let _held = &place;
        let item = match item {
            _ if access.role(&caller.peer.name).is_none() => {
                Some(Err(Status::permission_denied("the role was taken away")))
            }
            Ok(event) => event.event.as_ref().is_some_and(|it| selection.selects(it)).then_some(Ok(event)),
            Err(fault) => Some(Err(fault.into())),
        };
        future::ready(item)
    });
    let ended = Status::unavailable("the gateway is stopping; call again when it is back");
    let whole = selected.take_until(desk.stop.clone().cancelled_owned()).chain(stream::iter([Err(ended)]));
    // The stream ends with its first error.
    let whole = whole.scan(false, |over, item| {
        let last = std::mem::replace(over, item.is_err());
        future::ready((!last).then_some(item))
    });
    Response::new(whole.boxed())
}
