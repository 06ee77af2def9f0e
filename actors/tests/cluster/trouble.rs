//! What befalls a cluster: leaders come and go, links break, answers are lost, members see different leaders.

use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::members::MEMBERS;

/// Makes trouble, one thing at a time.
pub struct Trouble {
    dice: Dice,
    leader: Option<u64>,
}

impl Trouble {
    pub fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed.wrapping_add(7)),
            leader: None,
        }
    }

    /// Does the next thing.
    pub fn make(&mut self, cluster: &Cluster) {
        match self.dice.below(20) {
            0..=4 => self.change_leader(cluster),
            5 => self.depose(cluster),
            6..=7 => self.lose_an_answer(cluster),
            8..=10 => self.cut_a_link(cluster),
            11 => self.isolate(cluster),
            12 => self.starve(cluster),
            13 => self.deceive(cluster),
            14 => self.blink(cluster),
            _ => self.heal(cluster),
        }
    }

    fn change_leader(&mut self, cluster: &Cluster) {
        self.leader = Some(self.dice.one_of(&MEMBERS));
        cluster.elect_for(self.leader, MEMBERS);
    }

    fn depose(&mut self, cluster: &Cluster) {
        self.leader = None;
        cluster.depose();
    }

    /// The next batch of the leader is stored, and it hears only that it leads no more.
    fn lose_an_answer(&mut self, cluster: &Cluster) {
        if let Some(leader) = self.leader {
            cluster.log.lose_answer_of(leader);
        }
    }

    fn cut_a_link(&mut self, cluster: &Cluster) {
        let (from, to) = (self.dice.one_of(&MEMBERS), self.dice.one_of(&MEMBERS));
        cluster.network.cut(from, to);
    }

    /// One member is cut off; another one leads, and the first does not learn it.
    fn isolate(&mut self, cluster: &Cluster) {
        let alone = self.dice.one_of(&MEMBERS);
        let others: Vec<u64> = MEMBERS.into_iter().filter(|id| *id != alone).collect();
        cluster.network.isolate(alone, MEMBERS);
        self.leader = Some(self.dice.one_of(&others));
        cluster.elect_for(self.leader, others);
    }

    fn starve(&mut self, cluster: &Cluster) {
        cluster.network.starve(self.dice.one_of(&MEMBERS));
    }

    /// One member takes somebody for the leader who is not.
    fn deceive(&mut self, cluster: &Cluster) {
        let deceived = self.dice.one_of(&MEMBERS);
        cluster.sees(deceived, Some(self.dice.one_of(&MEMBERS)));
    }

    /// One member loses sight of the leader for a moment.
    fn blink(&mut self, cluster: &Cluster) {
        let blinking = self.dice.one_of(&MEMBERS);
        cluster.sees(blinking, None);
        cluster.sees(blinking, self.leader);
    }

    fn heal(&mut self, cluster: &Cluster) {
        cluster.network.heal();
        cluster.network.feed();
        cluster.elect_for(self.leader, MEMBERS);
    }

    /// Ends all trouble, under a leader.
    pub async fn end(mut self, cluster: &Cluster) {
        // Of nobody any more: an answer may be due to be lost.
        cluster.log.lose_answer_of(0);
        self.leader = Some(self.dice.one_of(&MEMBERS));
        self.heal(cluster);
        let leader = self.leader.expect("just set");
        cluster.until_leads(leader).await;
    }
}
