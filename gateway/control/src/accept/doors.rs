//! Places for handshakes: so many as a whole, so many for one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) struct Doors {
    total: usize,
    per_address: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place that is given back when it is dropped.
pub(crate) struct Door {
    doors: Arc<Doors>,
    address: IpAddr,
}

// === impl Doors ===

impl Doors {
    pub(crate) fn new(total: usize, per_address: usize) -> Self {
        Self { total, per_address, taken: Mutex::default() }
    }

    /// A place for `address`, if one is free.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Door> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.total >= self.total || taken.by_address.get(&address).is_some_and(|here| *here >= self.per_address) {
            return None;
        }
        taken.total += 1;
        *taken.by_address.entry(address).or_default() += 1;
        Some(Door { doors: self.clone(), address })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let mut taken = self.doors.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.total = taken.total.saturating_sub(1);
        if let Some(here) = taken.by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn one_address_cannot_take_every_place_and_places_come_back() {
        let doors = Arc::new(Doors::new(3, 2));
        let address = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
        let hoard: Vec<_> = (0..5).filter_map(|_| doors.enter(address(1))).collect();
        assert_eq!(hoard.len(), 2);
        let other = doors.enter(address(2));
        assert!(other.is_some());
        assert!(doors.enter(address(3)).is_none(), "all places are taken");
        drop(hoard);
        assert!(doors.enter(address(1)).is_some());
        assert_eq!(doors.taken.lock().map(|taken| taken.by_address.len()).ok(), Some(1), "only who is inside is kept");
    }
}
