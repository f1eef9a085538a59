//! Which indexes help to answer a question.

use std::ops::Bound;

use super::Find;
use crate::{
    commit::indexes::DefinedIndex,
    query::{IndexPlan, SortKey, id_range},
    read::plan::Choice,
    types::QueryError,
};

impl Find {
    /// Looks for what helps to answer the question in this order.
    pub(super) fn choose(&self, keys: &[SortKey]) -> Result<Choice, QueryError> {
        let ids = id_range(&self.filter)?;
        let is_one = matches!((&ids.start, &ids.end), (Bound::Included(one), Bound::Included(other)) if one == other);
        let mut indexes = Vec::new();
        if !is_one {
            let defined = self.inner.committer.indexes.of(&self.tenant, &self.collection);
            for DefinedIndex { definition, .. } in defined.iter() {
                let plan = IndexPlan::new(&self.filter, keys, definition.index.paths()?)?;
                let plan = plan.filter(|plan| plan.narrows() || !ids.is_bounded());
                let Some(plan) = plan else { continue };
                if self.inner.engine().is_index_ready(&self.tenant, definition) {
                    indexes.push((definition.clone(), plan));
                }
            }
            // Stable: of equals, the first by name.
            indexes.sort_by_key(|(_, plan)| std::cmp::Reverse(plan.rank()));
        }
        Ok(Choice { indexes, ids })
    }
}
