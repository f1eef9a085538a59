//! What is below `/api/v1/admin/`: the store as a whole, for operators alone.

mod answer;
mod backup;
mod history;
mod import;
mod indexes;
mod request;
mod tenants;

pub use self::{
    import::{ImportError, ImportErrorKind, ImportSummary, import_lines},
    indexes::{ShownIndex, ShownIndexes},
    request::AdminRequest,
    tenants::TenantInfo,
};
