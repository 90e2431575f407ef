//! The memory of streamed answers that are recorded to be replayed, bounded over all streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The largest streamed answer that is kept to be replayed: about 40,000 pieces. The same request
/// after a longer one is a new one.
const RECORDED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What is set aside when a stream begins: most answers are smaller.
const FIRST_BYTES: usize = 64 * 1024;

/// Memory that recordings may use together.
#[derive(Debug)]
pub(crate) struct RecordingMemory {
    bytes_max: usize,
    used: AtomicUsize,
}

/// What was sent of one streamed answer. Dropping it gives its memory back.
#[derive(Debug)]
pub(crate) struct Recording {
    memory: Arc<RecordingMemory>,
    bytes: Vec<u8>,
    /// What is set aside for it.
    reserved: usize,
}

impl RecordingMemory {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes_max,
            used: AtomicUsize::new(0),
        })
    }

    /// Begins a recording, if there is memory for one.
    pub(crate) fn begin(self: &Arc<Self>) -> Option<Recording> {
        self.reserve(FIRST_BYTES).then(|| Recording {
            memory: self.clone(),
            bytes: Vec::new(),
            reserved: FIRST_BYTES,
        })
    }

    fn reserve(&self, bytes: usize) -> bool {
        let add = |used: usize| {
            let sum = used.checked_add(bytes)?;
            (sum <= self.bytes_max).then_some(sum)
        };
        let order = Ordering::SeqCst;
        self.used.fetch_update(order, order, add).is_ok()
    }
}

impl Recording {
    /// Adds a piece. False if the answer or all answers together are too large to be kept.
    #[must_use]
    pub(crate) fn add(&mut self, piece: &[u8]) -> bool {
        let length = self.bytes.len() + piece.len();
        if length > RECORDED_BYTES_MAX {
            return false;
        }
        if length > self.reserved {
            let target = length.next_power_of_two();
            if !self.memory.reserve(target - self.reserved) {
                return false;
            }
            self.reserved = target;
            self.bytes.reserve_exact(target - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        true
    }

    /// What was recorded.
    pub(crate) fn take(mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.reserved, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_recordings_together_stay_within_the_bound() {
        let memory = RecordingMemory::new(4 * FIRST_BYTES);
        let mut one = memory.begin().unwrap();
        let mut other = memory.begin().unwrap();
        assert!(one.add(&vec![1; FIRST_BYTES]) && one.add(&vec![2; FIRST_BYTES]));
        assert!(other.add(b"small") && memory.begin().is_some());
        assert!(!other.add(&vec![3; 2 * FIRST_BYTES]));
        drop(other);
        assert_eq!(one.take().len(), 2 * FIRST_BYTES);
        assert_eq!(memory.used.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn one_recording_has_a_largest_size() {
        let mut recording = RecordingMemory::new(usize::MAX).begin().unwrap();
        assert!(recording.add(&vec![0; RECORDED_BYTES_MAX]));
        assert!(!recording.add(&[0]));
    }
}
