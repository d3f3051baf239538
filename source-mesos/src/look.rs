//! One look at everything that the leading master knows.

use std::{sync::Arc, time::Duration};

use notifier_core::{Error, ErrorKind};
use tokio::{task::JoinHandle, time::Instant};
use url::Url;

use crate::{
    masters::{Call, Masters, Nobody, Opened, Refusal},
    state::{
        Snapshot,
        v0::StateReader,
        v1::{Record, RecordReader},
    },
    wanted::Wanted,
};

/// In which form the state is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `/master/state`, which all versions have.
    Plain,
    /// The operator API's, which tells messages and reasons too.
    Operator,
    /// The executors only, of the operator API.
    Executors,
}

/// What was seen.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) snapshot: Snapshot,
    pub(crate) base: Url,
}

/// A look that is being taken; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) form: Form,
    pub(crate) begun: Instant,
    task: JoinHandle<Result<Seen, Nobody>>,
}

impl Drop for Look {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Look {
    pub(crate) fn start(
        form: Form,
        masters: Arc<Masters>,
        wanted: Arc<Wanted>,
        max: usize,
    ) -> Self {
        Self {
            form,
            begun: Instant::now(),
            task: tokio::spawn(async move { look(form, &masters, &wanted, max).await }),
        }
    }

    /// What was seen, when it is there. Cancel safe; not to be called again after that.
    pub(crate) async fn seen(&mut self) -> Result<Seen, Nobody> {
        (&mut self.task).await.unwrap_or_else(|e| {
            Err(Nobody {
                error: Error::internal(format!("the state could not be read: {e}")),
                never: false,
            })
        })
    }

    pub(crate) fn lasts(&self) -> Duration {
        self.begun.elapsed()
    }
}

async fn look(form: Form, masters: &Masters, wanted: &Wanted, max: usize) -> Result<Seen, Nobody> {
    let round = masters.round(match form {
        Form::Plain => Call::State,
        Form::Operator => Call::Operator("GET_STATE"),
        Form::Executors => Call::Operator("GET_EXECUTORS"),
    });
    let mut round = round.await;
    while let Some(opened) = round.next().await {
        let base = opened.base.clone();
        let read = match form {
            Form::Plain => plain(opened, masters, wanted, max).await,
            Form::Operator | Form::Executors => operator(opened, masters, wanted, max).await,
        };
        match read {
            Ok(snapshot) => {
                round.leads(&base);
                return Ok(Seen { snapshot, base });
            }
            Err(refusal) => round.refuse(base, refusal),
        }
    }
    Err(round.nobody())
}

async fn plain(
    opened: Opened,
    masters: &Masters,
    wanted: &Wanted,
    max: usize,
) -> Result<Snapshot, Refusal> {
    let mut reader = StateReader::new(|state: &str| wanted.may_want(state));
    opened
        .each(masters.pace(), max, |piece| {
            reader.feed(piece).map_err(|e| no_state(&e))
        })
        .await?;
    let snapshot = reader
        .finish()
        .map_err(|e| Refusal::new(ErrorKind::InvalidResponse, no_state(&e)))?;
    if !snapshot.is_of_leader() {
        return Err(Refusal::new(ErrorKind::Unavailable, "not the leader"));
    }
    Ok(snapshot)
}

async fn operator(
    opened: Opened,
    masters: &Masters,
    wanted: &Wanted,
    max: usize,
) -> Result<Snapshot, Refusal> {
    let mut reader = RecordReader::new(|state: &str| wanted.may_want(state));
    opened
        .each(masters.pace(), max, |piece| {
            reader.feed(piece, &mut |_| {}).map_err(|e| no_state(&e))
        })
        .await?;
    match reader.finish() {
        Ok(Record::State(snapshot)) => Ok(snapshot),
        Ok(_) => Err(Refusal::new(
            ErrorKind::InvalidResponse,
            "the answer is not the state of a Mesos master",
        )),
        Err(e) => Err(Refusal::new(ErrorKind::InvalidResponse, no_state(&e))),
    }
}

fn no_state(e: &impl std::fmt::Display) -> String {
    format!("the answer is not the state of a Mesos master ({e})")
}
