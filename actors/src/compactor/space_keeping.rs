//! Measures the space that the log takes, and clears the alarm of the quota when space has returned.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use journal::{ReadError, Size};
use model::{Alarm, AlarmAction, AlarmMember, Command};

use super::CompactorMeter;
use crate::shared_state::SharedState;
use crate::space::Space;
use crate::store::Store;

/// How often space is measured. In between it is estimated from what is written.
const INTERVAL: Duration = Duration::from_secs(1);

/// Keeps the space quota's idea of bytes in use close to the truth.
pub(super) struct SpaceKeeper {
    pub(super) shared: Arc<SharedState>,
    pub(super) space: Arc<Space>,
    pub(super) compactions: Arc<CompactorMeter>,
    pub(super) store: Store,
}

impl SpaceKeeper {
    /// Measures and clears for as long as it is polled.
    ///
    /// An alarm that was raised before this member began to lead is taken for the quota's, of whoever led then:
    /// nobody remembers, and the log is the same.
    pub(super) async fn keep(self) {
        let (mut office, mut to_clear) = (None, BTreeSet::new());
        let mut unreadable = false;
        loop {
            let leads = self.store.leads_under();
            if office != leads {
                office = leads;
                to_clear = self.raised();
            }
            match self.measure().await {
                Ok(size) => {
                    unreadable = false;
                    self.compactions.measured(size);
                    if self.space.measured(size.in_use) {
                        to_clear.insert(self.space.alarm());
                    }
                    if self.has_room(size.in_use) {
                        self.clear(&mut to_clear).await;
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut unreadable, true) {
                        tracing::warn!(%error, "the space that the log takes could not be measured");
                    }
                }
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    fn raised(&self) -> BTreeSet<AlarmMember> {
        let of_space = |alarm: &&AlarmMember| alarm.alarm == Alarm::NoSpace;
        self.shared
            .read(|state| state.alarms().iter().filter(of_space).copied().collect())
    }

    /// Measuring may block on the disk.
    async fn measure(&self) -> Result<Size, ReadError> {
        let reader = Arc::clone(self.shared.reader());
        let measured = tokio::task::spawn_blocking(move || reader.size()).await;
        measured.unwrap_or_else(|error| Err(ReadError::Failed(error.to_string())))
    }

    /// The alarm is cleared at nine tenths of the quota, so that it does not come and go with every write.
    fn has_room(&self, in_use: u64) -> bool {
        self.space.quota().is_none_or(|quota| in_use < quota - quota / 10)
    }

    /// A clearing that fails is tried again after the next measurement.
    async fn clear(&self, alarms: &mut BTreeSet<AlarmMember>) {
        while let Some(alarm) = alarms.first() {
            let clear = Command::Alarm(AlarmAction::Deactivate(*alarm));
            if self.store.submit_own(clear).await.is_err() {
                return;
            }
            tracing::info!("space has returned: the alarm NOSPACE is cleared");
            alarms.pop_first();
        }
    }
}
