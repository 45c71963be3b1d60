//! The thread that owns a store: it takes tasks in order and makes many durable with one flush.
//!
//! Callers wait for their answer, either asynchronously or, on a thread that may block, by blocking. The queue of tasks is
//! bounded; a caller waits for room. When the last handle goes, the thread finishes what is queued and ends.

use crate::error::StoreError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How many tasks may wait.
const QUEUE: usize = 1024;
/// How many tasks share one flush at most; bounds how long the first of them waits.
const GROUP: usize = 256;
/// How long a thread without tasks waits before it frees what it can do without.
const IDLE: Duration = Duration::from_secs(30);

/// What a worker's thread owns.
pub(crate) trait Service: Send + 'static {
    /// Makes the changes of the tasks before durable.
    fn flush(&mut self) -> Result<(), StoreError>;

    /// Frees what can be had again; nothing was asked for a while.
    fn idle(&mut self) {}
}

/// A handle to the thread.
#[derive(Debug)]
pub(crate) struct Worker<S> {
    tasks: flume::Sender<Task<S>>,
    stopping: Arc<AtomicBool>,
}

type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
type Act<S> = Box<dyn FnOnce(&mut S) -> Option<Answer> + Send>;

enum Task<S> {
    Act(Act<S>),
    Stop(flume::Sender<Result<(), StoreError>>),
}

// === impl Worker ===

impl<S> Clone for Worker<S> {
    fn clone(&self) -> Self {
        Self { tasks: self.tasks.clone(), stopping: Arc::clone(&self.stopping) }
    }
}

impl<S: Service> Worker<S> {
    /// Starts the thread `name`.
    pub(crate) fn spawn(name: &str, service: S) -> Result<Self, StoreError> {
        let (tasks, queue) = flume::bounded(QUEUE);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(service, &queue))
            .map_err(|error| StoreError::Io { path: name.into(), what: error.to_string() })?;
        Ok(Self { tasks, stopping: Arc::default() })
    }

    /// Runs `act` on the thread and answers at once.
    pub(crate) async fn read<T, F>(&self, act: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut S) -> Result<T, StoreError> + Send + 'static,
    {
        let (task, answer) = reading(act);
        self.submit(task).await?;
        answer.recv_async().await.unwrap_or(Err(StoreError::Closed))
    }

    /// Runs `act` on the thread and answers when its changes are durable.
    pub(crate) async fn write<T, F>(&self, act: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut S) -> Result<T, StoreError> + Send + 'static,
    {
        let (task, answer) = writing(act);
        self.submit(task).await?;
        answer.recv_async().await.unwrap_or(Err(StoreError::Closed))
    }

    /// [`Worker::read`], blocking the caller's thread.
    pub(crate) fn read_blocking<T, F>(&self, act: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut S) -> Result<T, StoreError> + Send + 'static,
    {
        let (task, answer) = reading(act);
        self.submit_blocking(task)?;
        answer.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// [`Worker::write`], blocking the caller's thread.
    pub(crate) fn write_blocking<T, F>(&self, act: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut S) -> Result<T, StoreError> + Send + 'static,
    {
        let (task, answer) = writing(act);
        self.submit_blocking(task)?;
        answer.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// Finishes what is queued, flushes, closes the store and ends the thread.
    pub(crate) async fn shutdown(&self, deadline: Duration) -> Result<(), StoreError> {
        self.stopping.store(true, Ordering::SeqCst);
        let (ended, end) = flume::bounded(1);
        let stop = async {
            if self.tasks.send_async(Task::Stop(ended)).await.is_err() {
                return Ok(());
            }
            end.recv_async().await.unwrap_or(Ok(()))
        };
        tokio::time::timeout(deadline, stop).await.unwrap_or(Err(StoreError::Deadline))
    }

    async fn submit(&self, task: Task<S>) -> Result<(), StoreError> {
        if self.stopping.load(Ordering::SeqCst) {
            return Err(StoreError::Closed);
        }
        self.tasks.send_async(task).await.map_err(|_| StoreError::Closed)
    }

    fn submit_blocking(&self, task: Task<S>) -> Result<(), StoreError> {
        if self.stopping.load(Ordering::SeqCst) {
            return Err(StoreError::Closed);
        }
        self.tasks.send(task).map_err(|_| StoreError::Closed)
    }
}

type Waiting<T> = flume::Receiver<Result<T, StoreError>>;

fn reading<S, T, F>(act: F) -> (Task<S>, Waiting<T>)
where
    T: Send + 'static,
    F: FnOnce(&mut S) -> Result<T, StoreError> + Send + 'static,
{
    let (reply, answer) = flume::bounded(1);
    let act = move |service: &mut S| {
        // A caller that no longer waits does not need the answer.
        let _ = reply.send(act(service));
        None
    };
    (Task::Act(Box::new(act)), answer)
}

fn writing<S, T, F>(act: F) -> (Task<S>, Waiting<T>)
where
    T: Send + 'static,
    F: FnOnce(&mut S) -> Result<T, StoreError> + Send + 'static,
{
    let (reply, answer) = flume::bounded(1);
    let act = move |service: &mut S| match act(service) {
        Ok(value) => {
            Some(Box::new(move |flushed: Result<(), StoreError>| drop(reply.send(flushed.map(|()| value)))) as Answer)
        }
        Err(error) => {
            drop(reply.send(Err(error)));
            None
        }
    };
    (Task::Act(Box::new(act)), answer)
}

fn run<S: Service>(mut service: S, queue: &flume::Receiver<Task<S>>) {
    let mut stopped = None;
    while stopped.is_none() {
        let first = match queue.recv_timeout(IDLE) {
            Err(flume::RecvTimeoutError::Timeout) => {
                service.idle();
                queue.recv().ok()
            }
            received => received.ok(),
        };
        let Some(first) = first else {
            break;
        };
        let mut answers = Vec::new();
        for task in std::iter::once(first).chain(queue.try_iter().take(GROUP - 1)) {
            match task {
                Task::Act(act) => answers.extend(act(&mut service)),
                Task::Stop(ended) => {
                    stopped = Some(ended);
                    break;
                }
            }
        }
        if answers.is_empty() {
            continue;
        }
        let flushed = service.flush();
        for answer in answers {
            answer(flushed.clone());
        }
    }
    drop(service);
    if let Some(ended) = stopped {
        let _ = ended.send(Ok(()));
    }
}
