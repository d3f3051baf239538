//! Each target at its interval.

use std::{sync::Arc, time::Duration};

use smtp_probe::Report;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::Board;

/// How long probes under way may take at the end.
const DRAIN: Duration = Duration::from_secs(2);

/// What was seen, and at which target of the board.
pub(crate) type Seen = (usize, Report);

/// Probes under way, until it is stopped or dropped.
#[derive(Debug)]
pub(crate) struct Schedule {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Schedule {
    /// Probes each target at once, and then at its interval, a tenth more or less.
    pub(crate) fn start(board: Arc<Board>, tell: Option<mpsc::Sender<Seen>>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for index in 0..board.jobs.len() {
            tasks.spawn(keep_on(
                Arc::clone(&board),
                index,
                tell.clone(),
                stopped.clone(),
            ));
        }
        Self { tasks, stop }
    }

    /// Begins no more probes, and lets those under way say goodbye.
    pub(crate) async fn stop(mut self) {
        let _ = self.stop.send(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(DRAIN, all).await.is_err() {
            tracing::debug!("probes under way were cut off");
        }
    }
}

async fn keep_on(
    board: Arc<Board>,
    index: usize,
    tell: Option<mpsc::Sender<Seen>>,
    mut stopped: watch::Receiver<bool>,
) {
    let (Some(mut prober), Some(job)) = (board.prober(index), board.jobs.get(index)) else {
        return;
    };
    let interval = job.interval;
    while !*stopped.borrow() {
        let report = board.probe(index, &mut prober).await;
        match report
            .decisive()
            .filter(|c| c.state > smtp_probe::State::Ok)
        {
            Some(check) => tracing::info!(
                relay = %report.target,
                state = %report.overall,
                check = check.id,
                text = %check.text,
                "checked"
            ),
            None => tracing::debug!(relay = %report.target, state = %report.overall, "checked"),
        }
        if let Some(tell) = &tell
            && tell.try_send((index, report)).is_err()
        {
            // The next report says the same, unless something has changed since.
            tracing::warn!("reports come faster than they are taken in; one is left out");
        }
        tokio::select! {
            () = sleep(jittered(interval)) => {}
            _ = stopped.changed() => {}
        }
    }
}

fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + 0.2 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_kept_within_a_tenth() {
        let minute = Duration::from_secs(60);
        for _ in 0..1000 {
            let wait = jittered(minute);
            assert!(
                (Duration::from_secs(54)..=Duration::from_secs(66)).contains(&wait),
                "{wait:?}"
            );
        }
    }
}
