//! What is below `/api/v1/admin/`: the store as a whole, for operators alone.

mod answer;
mod backup;
mod history;
mod import;
mod request;
mod tenants;

pub use self::{
    import::{ImportError, ImportErrorKind, ImportSummary, import_lines},
    request::AdminRequest,
    tenants::TenantInfo,
};
