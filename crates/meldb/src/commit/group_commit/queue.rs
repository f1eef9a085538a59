//! The writes that wait for a commit: fair by owner, and bounded.
//!
//! Owners take turns, a write each. In one commit an owner gets its share; what it has taken beyond
//! that, by one large write, is a debt that it works off while others are served: deficit round
//! robin (Shreedhar and Varghese, "Efficient Fair Queueing using Deficit Round Robin", 1995).

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::Hash,
    ops::AddAssign,
};

use crate::limits::{
    GROUP_BYTES_MAX, GROUP_WRITES_MAX, QUEUE_BYTES_MAX, QUEUE_WRITES_MAX, TENANT_GROUP_BYTES_MAX,
    TENANT_GROUP_WRITES_MAX, TENANT_QUEUE_BYTES_MAX,
};

/// What an owner may take of a commit, in the unit of [`Weight::cost`].
pub(super) const SHARE: usize = TENANT_GROUP_BYTES_MAX;
/// The most that a commit takes of all owners together.
const COST_MAX: usize = GROUP_BYTES_MAX;
/// What a write costs beside its bytes.
const WRITE_COST: usize = TENANT_GROUP_BYTES_MAX / TENANT_GROUP_WRITES_MAX;
/// How many owners in debt who wait for nothing are remembered before they are looked through.
const IDLE_OWNERS: usize = 1024;

/// How large a write is, or a group of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    /// How many documents it writes.
    pub(crate) writes: usize,
    /// About how many bytes.
    pub(crate) bytes: usize,
    /// What the leader has to do beside copying them, in the time that a byte takes: about a
    /// nanosecond.
    pub(crate) work: usize,
}

impl Weight {
    /// Returns whether a group of this weight takes nothing more in.
    pub(super) fn is_full(self) -> bool {
        self.writes >= GROUP_WRITES_MAX || self.cost() >= COST_MAX
    }

    /// Returns about how many bytes could be written in the time that it takes.
    pub(super) fn cost(self) -> usize {
        self.writes * WRITE_COST + self.bytes + self.work
    }
}

impl AddAssign for Weight {
    fn add_assign(&mut self, other: Self) {
        self.writes += other.writes;
        self.bytes += other.bytes;
        self.work += other.work;
    }
}

/// A queue for each owner.
pub(super) struct FairQueue<O, T> {
    owners: HashMap<O, Waiting<T>>,
    /// The owners of whom something waits, in the order of their turns.
    turns: VecDeque<O>,
    /// The number of the commit that is being gathered.
    group: u64,
    /// The bytes that wait.
    bytes: usize,
}

/// What waits of one owner.
struct Waiting<T> {
    items: VecDeque<(T, Weight)>,
    bytes: usize,
    /// What it has taken up to `group`, less its share of each commit since.
    taken: usize,
    group: u64,
}

impl<T> Waiting<T> {
    fn new(group: u64) -> Self {
        Self { items: VecDeque::new(), bytes: 0, taken: 0, group }
    }

    /// Returns what the owner has taken of its share of a commit.
    fn taken_at(&self, group: u64) -> usize {
        let shares = usize::try_from(group - self.group).unwrap_or(usize::MAX);
        self.taken.saturating_sub(SHARE.saturating_mul(shares))
    }

    fn take(&mut self, group: u64, cost: usize) {
        self.taken = self.taken_at(group).saturating_add(cost);
        self.group = group;
    }
}

impl<O: Clone + Eq + Hash, T> FairQueue<O, T> {
    pub(super) fn new() -> Self {
        Self { owners: HashMap::new(), turns: VecDeque::new(), group: 0, bytes: 0 }
    }

    /// Begins to gather another commit, of which every owner has its share.
    pub(super) fn begin_group(&mut self) {
        self.group += 1;
        if self.owners.len() > self.turns.len() + IDLE_OWNERS {
            let group = self.group;
            self.owners.retain(|_, owner| !owner.items.is_empty() || owner.taken_at(group) > 0);
        }
    }

    /// Returns whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Returns whether there is room for one more of an owner.
    pub(super) fn has_room(&self, owner: &O, weight: Weight) -> bool {
        let Some(waiting) = self.owners.get(owner).filter(|own| !own.items.is_empty()) else {
            // The first one of an owner is not in the way of others.
            return true;
        };
        waiting.items.len() < QUEUE_WRITES_MAX
            && waiting.bytes + weight.bytes <= TENANT_QUEUE_BYTES_MAX
            && self.bytes + weight.bytes <= QUEUE_BYTES_MAX
    }

    /// Adds something behind all else of its owner.
    pub(super) fn push(&mut self, owner: O, item: T, weight: Weight) {
        self.bytes += weight.bytes;
        let group = self.group;
        let waiting = self.owners.entry(owner.clone()).or_insert_with(|| Waiting::new(group));
        if waiting.items.is_empty() {
            self.turns.push_back(owner);
        }
        waiting.bytes += weight.bytes;
        waiting.items.push_back((item, weight));
    }

    /// Puts back what was taken for this commit and will not be part of it, before all else of its
    /// owner.
    pub(super) fn put_back(&mut self, owner: O, item: T, weight: Weight) {
        self.bytes += weight.bytes;
        let group = self.group;
        let waiting = self.owners.entry(owner.clone()).or_insert_with(|| Waiting::new(group));
        waiting.taken = waiting.taken.saturating_sub(weight.cost());
        waiting.bytes += weight.bytes;
        waiting.items.push_front((item, weight));
        if waiting.items.len() == 1 {
            self.turns.push_front(owner);
        }
    }

    /// Charges an owner for what has not waited; where nobody waits, only what is beyond a share is
    /// of any matter.
    pub(super) fn charge(&mut self, owner: O, weight: Weight) {
        let (group, cost) = (self.group, weight.cost());
        if self.turns.is_empty() && cost <= SHARE {
            return;
        }
        self.owners.entry(owner).or_insert_with(|| Waiting::new(group)).take(group, cost);
    }

    /// Takes the next one of an owner who has not had its share of this commit.
    pub(super) fn pop(&mut self) -> Option<(T, Weight)> {
        let group = self.group;
        let entitled =
            |owner: &O| self.owners.get(owner).is_some_and(|owner| owner.taken_at(group) < SHARE);
        let turn = self.turns.iter().position(entitled)?;
        // Those before it have had their share, and keep their order.
        self.turns.rotate_left(turn);
        self.take_first()
    }

    /// Takes the next one, of somebody who has had its share if nobody else waits.
    pub(super) fn pop_any(&mut self) -> Option<(T, Weight)> {
        self.pop().or_else(|| self.take_first())
    }

    fn take_first(&mut self) -> Option<(T, Weight)> {
        let owner = self.turns.pop_front()?;
        let Entry::Occupied(mut entry) = self.owners.entry(owner) else { return None };
        let waiting = entry.get_mut();
        let (item, weight) = waiting.items.pop_front()?;
        waiting.take(self.group, weight.cost());
        waiting.bytes -= weight.bytes;
        self.bytes -= weight.bytes;
        if !waiting.items.is_empty() {
            self.turns.push_back(entry.key().clone());
        }
        Some((item, weight))
    }

    pub(super) fn clear(&mut self) {
        self.owners.clear();
        self.turns.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Queue = FairQueue<&'static str, u32>;

    fn small() -> Weight {
        Weight { writes: 1, bytes: 0, work: 0 }
    }

    fn large() -> Weight {
        Weight { writes: 1, bytes: 4 * SHARE, work: 0 }
    }

    /// Takes what the next commit would be made of.
    fn group(queue: &mut Queue) -> Vec<u32> {
        queue.begin_group();
        let mut weight = Weight::default();
        let mut items = Vec::new();
        while !weight.is_full() {
            let next = if items.is_empty() { queue.pop_any() } else { queue.pop() };
            let Some((item, of_item)) = next else { break };
            weight += of_item;
            items.push(item);
        }
        items
    }

    #[test]
    fn owners_take_turns_and_each_keeps_its_order() {
        let mut queue = Queue::new();
        for (owner, item) in [("a", 1), ("a", 2), ("a", 3), ("b", 11), ("c", 21), ("b", 12)] {
            queue.push(owner, item, small());
        }
        assert_eq!(group(&mut queue), [1, 11, 21, 2, 12, 3]);
        assert!(group(&mut queue).is_empty());
    }

    #[test]
    fn a_flood_takes_its_share_and_the_others_are_in_the_next_commit() {
        let mut queue = Queue::new();
        (0..2_000).for_each(|item| queue.push("flood", item, small()));
        assert_eq!(group(&mut queue).len(), TENANT_GROUP_WRITES_MAX);
        queue.push("victim", 9_999, small());
        let next = group(&mut queue);
        assert_eq!((next[1], next.len()), (9_999, TENANT_GROUP_WRITES_MAX + 1));
    }

    #[test]
    fn who_has_taken_more_than_a_share_waits_as_long_as_others_are_there() {
        let mut queue = Queue::new();
        (0..3).for_each(|item| queue.push("large", item, large()));
        (0..6 * TENANT_GROUP_WRITES_MAX as u32)
            .for_each(|item| queue.push("small", item + 100, small()));
        let with_large: Vec<_> =
            (0..6).map(|_| group(&mut queue).iter().any(|i| *i < 100)).collect();
        assert_eq!(with_large, [true, false, false, false, true, false]);
        // Nobody else waits any more.
        assert_eq!(group(&mut queue), [2]);
    }

    #[test]
    fn a_debt_outlives_an_empty_queue() {
        let mut queue = Queue::new();
        queue.begin_group();
        queue.charge("large", large());
        queue.push("large", 1, small());
        queue.push("small", 2, small());
        assert_eq!(group(&mut queue), [2]);
        queue.push("small", 3, small());
        assert_eq!(group(&mut queue), [3]);
        assert_eq!(group(&mut queue), [1]);
    }

    #[test]
    fn what_is_put_back_is_first_again_and_costs_nothing() {
        let mut queue = Queue::new();
        (1..=3).for_each(|item| queue.push("a", item, Weight { bytes: SHARE / 4, ..small() }));
        queue.push("b", 11, small());
        assert_eq!(group(&mut queue), [1, 11, 2, 3]);
        for item in [3, 2] {
            queue.put_back("a", item, Weight { bytes: SHARE / 4, ..small() });
        }
        queue.push("a", 4, small());
        assert_eq!(group(&mut queue), [2, 3, 4]);
    }

    #[test]
    fn an_owner_has_room_for_one_and_no_more_than_its_bounds() {
        let mut queue = Queue::new();
        let half = Weight { bytes: TENANT_QUEUE_BYTES_MAX / 2, ..small() };
        let twice = Weight { bytes: TENANT_QUEUE_BYTES_MAX * 2, ..small() };
        assert!(queue.has_room(&"a", twice));
        queue.push("a", 1, half);
        assert!(queue.has_room(&"a", half) && !queue.has_room(&"a", twice));
        queue.push("a", 2, half);
        assert!(!queue.has_room(&"a", Weight { bytes: 1, ..small() }));
        assert!(queue.has_room(&"b", twice));
        queue.pop_any();
        assert!(queue.has_room(&"a", half));
        (0..QUEUE_WRITES_MAX as u32).for_each(|item| queue.push("c", item, small()));
        assert!(!queue.has_room(&"c", small()));
    }

    #[test]
    fn all_together_have_a_bound_too_and_who_waits_for_nothing_is_taken_all_the_same() {
        let mut queue = Queue::new();
        let most = Weight { bytes: TENANT_QUEUE_BYTES_MAX, ..small() };
        for owner in ["a", "b", "c", "d"] {
            queue.push(owner, 1, most);
        }
        assert_eq!(4 * TENANT_QUEUE_BYTES_MAX, QUEUE_BYTES_MAX);
        queue.push("e", 1, small());
        assert!(!queue.has_room(&"e", Weight { bytes: 1, ..small() }));
        assert!(queue.has_room(&"f", most));
    }

    #[test]
    fn owners_that_owe_nothing_are_forgotten() {
        let mut queue = FairQueue::<u32, u32>::new();
        for owner in 0..10 * IDLE_OWNERS as u32 {
            queue.push(owner, owner, small());
            queue.begin_group();
            queue.pop();
        }
        assert!(queue.owners.len() <= IDLE_OWNERS + 2, "{} owners", queue.owners.len());
    }
}
