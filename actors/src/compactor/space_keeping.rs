//! Measures the space that the log takes, and clears the alarm of the quota when space has returned.

use std::sync::Arc;
use std::time::Duration;

use journal::{ReadError, Size};
use model::{AlarmAction, AlarmMember, Command};

use super::CompactorMeter;
use crate::errors::RequestError;
use crate::shared_state::SharedState;
use crate::space::Space;
use crate::store::Store;

/// How often space is measured. In between it is estimated from what is written.
const INTERVAL: Duration = Duration::from_secs(1);
/// As often as it may fail before that means something: while members elect a leader nobody may know.
const FAILURES_OF_AN_ELECTION: u32 = 15;

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
    /// An alarm that was raised before this member began to lead is taken for the quota's: nobody remembers.
    pub(super) async fn keep(self) {
        let (mut office, mut clearing) = (None, false);
        let mut inherited = Vec::new();
        let mut failures = 0;
        loop {
            let leads = self.store.leads_under();
            if office != leads {
                office = leads;
                inherited = self.raised_before();
                clearing = !inherited.is_empty();
            }
            match self.measure().await {
                Ok(size) => {
                    failures = 0;
                    self.compactions.measured(size);
                    clearing |= self.space.measured(size.in_use);
                    if clearing && self.has_room(size.in_use) {
                        clearing = self.clear(&inherited).await.is_err();
                    }
                }
                Err(error) => {
                    failures += 1;
                    if failures == FAILURES_OF_AN_ELECTION {
                        tracing::warn!(%error, "the space that the log takes could not be measured");
                    }
                }
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// The alarms that quotas raised: this member's, and of several members those of the leaders before. One
    /// that an operator raised for nobody in particular is left to the operator.
    fn raised_before(&self) -> Vec<AlarmMember> {
        let (own, several) = (self.space.alarm(), self.store.is_one_of_several());
        let of_a_quota = |raised: &&AlarmMember| {
            raised.alarm == own.alarm
                && (raised.member_id == own.member_id || several && raised.member_id != 0)
        };
        self.shared
            .read(|state| state.alarms().iter().filter(of_a_quota).copied().collect())
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
    async fn clear(&self, inherited: &[AlarmMember]) -> Result<(), RequestError> {
        let own = self.space.alarm();
        let others = inherited.iter().copied().filter(|raised| *raised != own);
        for raised in others.chain([own]) {
            let clear = Command::Alarm(AlarmAction::Deactivate(raised));
            self.store.submit_own(clear).await?;
        }
        tracing::info!("space has returned: the alarm NOSPACE is cleared");
        Ok(())
    }
}
