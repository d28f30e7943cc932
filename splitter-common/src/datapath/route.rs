//! Routes: which row of slots governs a client's flows.

use super::tables::Tables;
use crate::abi::{Address, RouteKey, Service};

/// First slot of the row of the longest prefix that has the client, or of the service's default row. A service without
/// routes pays one comparison.
#[inline(always)]
pub fn row<T: Tables>(tables: &T, service: &Service, client: &Address) -> u32 {
    if service.routed == 0 {
        return service.first_slot;
    }
    let key = RouteKey::of_client(service.first_slot, client);
    tables.row(&key).unwrap_or(service.first_slot)
}
